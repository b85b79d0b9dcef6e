import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import { LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../../src/domain/settings.ts"
import { migrate, SCHEMA_VERSION } from "../../../src/infra/sql/migrations.ts"
import { RANGE, NO_CHANGES, stepOf, cellStep, identity, TABLES, dump, layout } from "./fixtures.ts"
import type { World } from "./world.ts"

/** The layout of the tables, and what was once wrong with them. */
export const schemaContract = (world: World): void => {
  const { run, epochs, committingUnder, commit, identitiesOf, failureOf, amountsOf } = world

  describe("the schema", () => {
    test("is brought up to date at every start, any number of times", async () => {
      await commit(cellStep(1, [["", "users", "1"]]))
      const before = await run(dump)
      await run(migrate)
      await run(Effect.all([migrate, migrate, migrate], { concurrency: 3 }))
      expect(await run(dump)).toEqual(before)
    })

    test("of a newer version is refused with a sentence", async () => {
      const sql = await run(SqlClient.SqlClient)
      await run(sql`INSERT INTO migrations (migration_id, name) VALUES (99, 'from_the_future')`)
      try {
        const error = await failureOf(migrate)
        expect(error).toMatchObject({ _tag: "ReadModelUnavailable", retryable: false })
        expect(error.message).toBe(
          `Could not open the read model: its schema has version 99 and this version of Tidemark knows up to ${SCHEMA_VERSION}; upgrade Tidemark.`,
        )
      } finally {
        await run(sql`DELETE FROM migrations WHERE migration_id = 99`)
      }
      await run(migrate)
    })

    test("of version 1 is dropped and made anew", async () => {
      const before = await run(layout)
      await commit(cellStep(1, [["", "users", "1"]]))
      const sql = await run(SqlClient.SqlClient)
      // As far as it differed, and a view that stands on it.
      await run(
        Effect.gen(function* () {
          for (const table of TABLES) yield* sql`DROP TABLE ${sql(table)} CASCADE`
          yield* sql`DROP SEQUENCE epochs, distinct_id_keys`
          yield* sql`CREATE TABLE settings (settings json NOT NULL)`
          yield* sql`INSERT INTO settings VALUES (${JSON.stringify(DEFAULT_SETTINGS)}::json)`
          yield* sql`CREATE TABLE checkpoints (projector_group text, partition integer, sequence bigint)`
          yield* sql`INSERT INTO checkpoints VALUES ('live', 0, 1)`
          yield* sql`CREATE TABLE facts (measure integer, key integer, month integer, value text, mask integer, points bytea)`
          yield* sql`INSERT INTO facts VALUES (1, 1, 1, '', 1, NULL)`
          yield* sql`CREATE TABLE cells (measure integer, day date, stat text, item text, amount numeric)`
          yield* sql`CREATE VIEW live_cells AS SELECT * FROM cells`
          yield* sql`CREATE VIEW daily_active_users AS SELECT day FROM live_cells`
          yield* sql`UPDATE migrations SET migration_id = 1, name = 'create_tables'`
        }),
      )
      await run(migrate)
      expect(await run(layout)).toEqual(before)
      expect(Object.values(await run(dump)).flat()).toEqual([])
      expect(await run(world.readModel.settings)).toBeNull()
      epochs.clear()
      await commit(cellStep(1, [["", "users", "1"]]))
      expect((await amountsOf()).size).toBe(1)
    })
  })

  // Those that are marked pass as soon as they are repaired, and vitest then asks for the mark to be taken away.

  describe("known faults", () => {
    test("text that begins with U+FEFF comes back as it went in", async () => {
      const row = identity(1, "a:d", { link: { time: 1, userId: "\ufeffann" } })
      await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [row] } }))
      expect((await identitiesOf(["a:d"])).rows).toEqual([row])
    })

    test("a cell is found by a statistic with a backslash in it", async () => {
      await commit(cellStep(1, [["", "sum:\\", "1"]]))
      expect((await run(world.queries.cells(1, RANGE, { stats: ["sum:\\"] }))).length).toBe(1)
    })

    test("a cell that rises to zero is gone", async () => {
      await commit(cellStep(1, [["", "sum", "-1.5"]]))
      await commit(cellStep(2, [["", "sum", "1.5"]]))
      expect(await amountsOf()).toEqual(new Map())
    })

    // Two processes at the very beginning: what the one folds lacks the metric that the other has registered as live.
    test("an owner from before a metric that is live at once cannot commit steps without it", async () => {
      await run(world.readModel.register([BUILTIN_METRICS.sessions]))
      const { epoch } = await run(world.readModel.claim(LIVE_GROUP, 0, "one"))
      const live = await run(world.readModel.register([BUILTIN_METRICS.activeUsers]))
      expect(live.map(({ state }) => state)).toEqual(["live", "live"])
      const error = await failureOf(committingUnder(stepOf(1, { measures: [live[0]!.id] }), epoch))
      expect(error).toMatchObject({ _tag: "CheckpointConflict" })
    })

    test("an amount has one spelling, however it was added up", async () => {
      await commit(cellStep(1, [["", "sum", "0.5"]]))
      await commit(cellStep(2, [["", "sum", "0.5"]]))
      expect([...(await amountsOf()).values()]).toEqual(["1"])
    })
  })
}
