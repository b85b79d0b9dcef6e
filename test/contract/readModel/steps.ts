import { deepStrictEqual } from "node:assert"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import { ReadModelUnavailable } from "../../../src/domain/projection/errors.ts"
import { type KnownTables, LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import type { Settings } from "../../../src/domain/settings.ts"
import { emptied } from "../../support/emptied.ts"
import { dedupeEntry, TEXTS, TOKYO, DAY, stepOf, cellStep, identity, dump } from "./fixtures.ts"
import type { World } from "./world.ts"

/** What a step leaves, and what nothing leaves. */
export const stepsContract = (world: World): void => {
  const { run, epochs, epochOf, committing, commit, identitiesOf, allFactsOf, failureOf } = world

  test("begins with nothing", async () => {
    expect(world.settingsAtFirst).toBeNull()
    expect(await run(world.readModel.measures)).toEqual([])
    expect(await run(world.readModel.checkpoint(LIVE_GROUP, 0))).toBeNull()
    expect(await identitiesOf(["u:ann"])).toEqual({ rows: [], statements: [], newKeys: [1] })
    expect(await identitiesOf([])).toEqual({ rows: [], statements: [], newKeys: [] })
    expect(await run(world.queries.identities(["u:ann"]))).toEqual({ rows: [], statements: [] })
    expect(await allFactsOf([1, 2], [1])).toEqual([new Map(), new Map()])
    expect(await allFactsOf([], [])).toEqual([])
    expect(await run(world.readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual([])
    expect(await run(world.readModel.duplicates(0, 0))).toEqual(new Map())
    expect((await run(world.queries.standing)).stored).toBeNull()
  })

  test("a step that cannot be settled leaves everything as it was, and says why", async () => {
    await commit(cellStep(1, [["a", "events", "1"]]))
    const before = await run(dump)
    const { changes: _, ...step } = cellStep(2, [["a", "events", "1"]])
    const reason = new ReadModelUnavailable({ attempted: "settle", reason: "of a reason", retryable: true })
    const epoch = await run(epochOf(LIVE_GROUP, 0))
    const settle = (known: KnownTables) => Effect.andThen(known.identities(["u:ann"], false), Effect.fail(reason))
    expect(await failureOf(world.readModel.commit({ ...step, epoch }, settle))).toBe(reason)
    expect(await run(dump)).toEqual(before)
  })

  test.each([
    [
      "a cell",
      cellStep(2, [
        ["", "events", "1"],
        ["", "users", "many"],
      ]),
    ],
    ["a batch of the dedupe index that is there already", stepOf(2, { dedupe: [dedupeEntry(1, 1, ["x"])] })],
  ])("a commit that fails at %s leaves everything as it was", async (_, step) => {
    await commit(
      cellStep(1, [["", "events", "1"]], {
        intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
        dedupe: [dedupeEntry(1, 1, ["id"])],
      }),
    )
    const before = await run(dump)
    const failing = {
      ...step,
      changes: { ...step.changes, identities: [identity(1, "u:ann")] },
      intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
      duplicates: [{ sequence: 2, places: [0] }],
    }
    const error = await failureOf(committing(failing))
    expect(error).toMatchObject({ _tag: "ReadModelUnavailable", attempted: "commit a step of the projection" })
    expect(error.message).toMatch(/^Could not commit a step of the projection: .+\.$/s)
    expect(await run(dump)).toEqual(before)
    await commit(stepOf(2))
  })

  test("failures to fold are kept once, with their cause", async () => {
    const failures = TEXTS.map((cause, place) => ({ partition: 0, sequence: 1, place, metric: "m", cause }))
    await commit(stepOf(1, { failures }))
    await commit(stepOf(1, { group: "build-2", failures }))
    deepStrictEqual(await run(world.queries.failures), failures)
  })

  test("is emptied by one of many that find it as it is at the same time", async () => {
    const found = await run(world.readModel.made)
    const all = await run(
      Effect.all(
        Array.from({ length: 4 }, () => world.readModel.wipe(TOKYO, found)),
        { concurrency: "unbounded" },
      ),
    )
    expect(all.filter((made) => made !== null)).toEqual([await run(world.readModel.made)])
  })

  test("wiping empties everything and notes the settings that hold next", async () => {
    await run(world.readModel.register([BUILTIN_METRICS.sessions]))
    await identitiesOf(["u:ann", "u:bob"])
    await commit(
      cellStep(1, [["", "users", "1"]], {
        intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
        dedupe: [dedupeEntry(1, 1, ["id"])],
        duplicates: [{ sequence: 1, places: [0] }],
        failures: [{ partition: 0, sequence: 1, place: 0, metric: "m", cause: "c" }],
      }),
    )
    const settings: Settings = {
      timeZone: "Europe/Berlin",
      weekStart: "sunday",
      mergeWindowMillis: null,
      dedupeHorizonMillis: 0,
    }
    await run(emptied(world.readModel, settings))
    expect(await run(world.readModel.settings)).toEqual(settings)
    const { settings: kept, ...others } = await run(dump)
    expect(kept!.length).toBe(1)
    expect(Object.values(others).flat()).toEqual([])
    epochs.clear()
    // Keys and ids begin anew, so that a rebuild gives the same rows again.
    expect((await run(world.readModel.register([BUILTIN_METRICS.sessions])))[0]!.id).toBe(1)
    expect((await identitiesOf(["u:ann"])).newKeys).toEqual([1])
  })

  test("what the database refuses is told as what was attempted and why", async () => {
    const sql = await run(SqlClient.SqlClient)
    await run(sql`ALTER TABLE checkpoints RENAME TO elsewhere`)
    try {
      const error = await failureOf(world.readModel.checkpoint(LIVE_GROUP, 0))
      expect(error.message).toBe(
        'Could not read a checkpoint: relation "checkpoints" does not exist: somebody has dropped it; what is started next makes the tables anew.',
      )
      expect(error).toMatchObject({ retryable: false, superseded: true })
    } finally {
      await run(sql`ALTER TABLE elsewhere RENAME TO checkpoints`)
    }
  })
}
