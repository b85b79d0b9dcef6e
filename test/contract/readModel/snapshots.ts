import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import { ReadModelUnavailable } from "../../../src/domain/projection/errors.ts"
import { LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { INTAKE } from "../../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../../src/domain/settings.ts"
import { SharedDatabase } from "../../../src/infra/sql/SharedDatabase.ts"
import { emptied } from "../../support/emptied.ts"
import { TOKYO, RANGE, cellStep } from "./fixtures.ts"
import type { World } from "./world.ts"

/** What is read at one moment. */
export const snapshotsContract = (world: World): void => {
  const { run, committing, commit, failureOf } = world

  describe("a snapshot", () => {
    /** Whether somebody waits for a lock; known to all transactions at once. */
    const somebodyWaits = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{
        readonly waits: boolean
      }>`SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted) AS waits`
      return row!.waits
    })
    const standing = Effect.gen(function* () {
      const sequence = (yield* world.readModel.checkpoint(LIVE_GROUP, 0))?.position.sequence ?? 0
      const sum = (yield* world.queries.cells(1, RANGE)).reduce((sum, { amount }) => sum + Number(amount), 0)
      const { settings, measures } = world.readModel
      return { sequence, sum, settings: yield* settings, measures: (yield* measures).length }
    })
    const first = () =>
      run(
        Effect.gen(function* () {
          yield* world.readModel.register([BUILTIN_METRICS.activeUsers])
          yield* committing(cellStep(1, [["", "events", "1"]]))
        }),
      )

    test("shows the tables as they stand at one moment, while a step is committed beside it", async () => {
      await first()
      const seen = await run(
        world.queries.snapshot(
          Effect.gen(function* () {
            const shared = yield* SharedDatabase
            const before = yield* standing
            const step = commit(cellStep(2, [["", "events", "10"]]))
            // Where there is but one connection, the step waits for it.
            if (shared) yield* Effect.promise(() => step)
            return { before, after: yield* world.queries.snapshot(standing), step }
          }),
        ),
      )
      expect(seen.before).toMatchObject({ sequence: 1, sum: 1 })
      expect(seen.after).toEqual(seen.before)
      await seen.step
      expect(await run(world.queries.snapshot(standing))).toMatchObject({ sequence: 2, sum: 11 })
    })

    test("answers what is asked at once as it answers each by itself, and of its own moment", async () => {
      await first()
      const questions = [
        world.queries.cells(1, RANGE),
        world.queries.uniquesByValue(1, RANGE),
        world.queries.returned(1, "", RANGE),
        world.queries.cells(INTAKE, RANGE),
      ] as const
      const oneByOne = Effect.all(questions)
      const atOnce = Effect.all(questions, { concurrency: "unbounded" })
      expect(await run(world.queries.snapshot(atOnce))).toEqual(await run(oneByOne))
      expect(await run(atOnce)).toEqual(await run(oneByOne))
      const seen = await run(
        world.queries.snapshot(
          Effect.gen(function* () {
            const before = yield* oneByOne
            // Where there is but one connection, others wait until the snapshot is through.
            if (!(yield* SharedDatabase)) return { before, after: yield* atOnce, beside: null }
            yield* Effect.promise(() => commit(cellStep(2, [["", "events", "10"]])))
            const beside = Effect.promise(() => run(world.queries.snapshot(atOnce)))
            const [after, other] = yield* Effect.all([atOnce, beside], { concurrency: "unbounded" })
            return { before, after, beside: other }
          }),
        ),
      )
      expect(seen.after).toEqual(seen.before)
      if (seen.beside !== null) expect(seen.beside).toEqual(await run(oneByOne))
    })

    test("keeps the tables from being emptied until it is through, whatever it has asked so far", async () => {
      await first()
      const seen = await run(
        world.queries.snapshot(
          Effect.gen(function* () {
            const shared = yield* SharedDatabase
            const measures = yield* world.readModel.measures
            const wiped = run(emptied(world.readModel, TOKYO))
            if (shared) yield* Effect.repeat(somebodyWaits, { until: (waits) => waits })
            return { measures, standing: yield* standing, wiped }
          }),
        ),
      )
      expect(seen.measures).toHaveLength(1)
      expect(seen.standing).toEqual({ sequence: 1, sum: 1, settings: DEFAULT_SETTINGS, measures: 1 })
      await seen.wiped
      expect(await run(standing)).toMatchObject({ sequence: 0, sum: 0, measures: 0 })
    })

    test("changes nothing, and its failure is the question's own", async () => {
      await first()
      const failure = new ReadModelUnavailable({ attempted: "ask", reason: "for a test", retryable: false })
      expect(await failureOf(world.queries.snapshot(Effect.fail(failure)))).toBe(failure)
      expect(await failureOf(world.queries.snapshot(emptied(world.readModel, DEFAULT_SETTINGS)))).toMatchObject({
        _tag: "ReadModelUnavailable",
        reason: expect.stringContaining("read-only transaction"),
      })
      expect(await run(standing)).toMatchObject({ sequence: 1, sum: 1 })
    })
  })
}
