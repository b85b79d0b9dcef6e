import { deepStrictEqual } from "node:assert"
import { Effect, Layer, ManagedRuntime, Result } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { countAllPersons } from "../../src/app/projection/countPersons.ts"
import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import type { AliasStatement } from "../../src/domain/identity/links.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { decodeBatch, encodeBatch } from "../../src/domain/log/batch.ts"
import { compileMeasure } from "../../src/domain/measure/compile.ts"
import { EMPTY_FACT, type Fact, factKey, type FactRow, joinFacts } from "../../src/domain/measure/Fact.ts"
import { EMPTY_POINTS, eventKey, type Points } from "../../src/domain/measure/points.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { FactChange, KnownFacts, StepChanges } from "../../src/domain/projection/StepChanges.ts"
import type { KnownIdentities } from "../../src/domain/projection/whoIsWho.ts"
import { DedupeIndex } from "../../src/domain/projection/DedupeIndex.ts"
import { ReadModelUnavailable } from "../../src/domain/projection/errors.ts"
import { Fold } from "../../src/domain/projection/Fold.ts"
import {
  type Checkpoint,
  type KnownTables,
  LIVE_GROUP,
  ReadModel,
  type Step,
} from "../../src/domain/projection/ReadModel.ts"
import { INTAKE, ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { settle } from "../../src/domain/projection/settle.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../src/domain/settings.ts"
import { formatDay } from "../../src/domain/time/calendar.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import type { BulkCopy } from "../../src/infra/sql/BulkCopy.ts"
import { SharedDatabase } from "../../src/infra/sql/SharedDatabase.ts"
import { migrate, SCHEMA_VERSION } from "../../src/infra/sql/migrations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../src/infra/sql/SqlReadModelQueries.ts"
import { type LoggedBatch, MemoryReadModel } from "../support/MemoryReadModel.ts"
import { emptied } from "../support/emptied.ts"

/** Texts that databases like to spoil: each comes back as it went in, and no two are one. */
const TEXTS: ReadonlyArray<string> = [
  "",
  " ",
  "plain",
  "PLAIN",
  "NULL",
  "null",
  "\\",
  "\\\\",
  "\\0",
  "\\u0000",
  "\\ud800",
  "\0",
  "\0\0",
  "a\0b",
  "\ud800",
  "\udfff",
  "\udfff\ud800",
  "x\ud83d",
  "😀",
  "e\u0301",
  "\u00e9",
  "\uff5e",
  "x\ufeff",
  "\u2028",
  "\uffff",
  "__proto__",
  "constructor",
  '"',
  "'",
  "''; DROP TABLE cells; --",
  "{a,b}",
  ",",
  "\n\r\t",
  "ß".repeat(256),
  "😀".repeat(128),
  "\\".repeat(256),
  "\0".repeat(256),
]

/** A text of so many UTF-16 units that no compression makes much shorter. */
const noise = (length: number, unit: (n: number) => number): string => {
  let state = 1
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return String.fromCharCode(unit(state >>> 8))
  }).join("")
}

const TOKYO: Settings = { ...DEFAULT_SETTINGS, timeZone: "Asia/Tokyo" }

const DAY = 19_000
const RANGE = { from: 0, to: 100_000 }

const position = (sequence: number, partition = 0) => ({
  incarnation: "inc",
  partition,
  sequence,
  batchId: `w.${partition}.${sequence}`,
})

const checkpoint = (sequence: number, partition = 0): Checkpoint => ({
  position: position(sequence, partition),
  chain: {
    w: { number: sequence, sum: "00112233445566778899aabbccddeeff", loggedAt: sequence },
    __proto__x: { number: 1, sum: "", loggedAt: 1 },
  },
  logTime: 1_763_769_600_000 + sequence,
  counts: { projected: sequence * 10, duplicates: 2, conflicts: 1, personless: 3 },
})

const NO_CHANGES: StepChanges = { identities: [], statements: [], measures: [] }

/** A step that is still to be claimed, and what it settles. */
type Draft = Omit<Step, "epoch"> & { readonly changes: StepChanges }

const stepOf = (sequence: number, over: Partial<Draft> = {}): Draft => {
  const partition = over.partition ?? 0
  return {
    group: LIVE_GROUP,
    partition,
    expected: sequence === 1 ? null : position(sequence - 1, partition),
    next: checkpoint(sequence, partition),
    measures: [],
    changes: NO_CHANGES,
    intake: [],
    dedupe: [],
    dedupeFrom: Number.NEGATIVE_INFINITY,
    duplicates: [],
    failures: [],
    revises: () => true,
    ...over,
  }
}

/** A step that changes only cells of measure 1. */
const cellStep = (
  sequence: number,
  cells: ReadonlyArray<readonly [item: string, stat: string, amount: string]>,
  over: Partial<Draft> = {},
): Draft =>
  stepOf(sequence, {
    measures: [1],
    changes: {
      ...NO_CHANGES,
      measures: [
        {
          facts: [],
          cells: cells.map(([item, stat, amount]) => ({ day: DAY, item, stat, amount, cause: "late-data" as const })),
        },
      ],
    },
    ...over,
  })

const identity = (key: number, distinctId: string, over: Partial<Identity> = {}): Identity => ({
  key,
  distinctId: distinctId as DistinctId,
  older: false,
  person: key,
  link: null,
  ...over,
})

const factRow = (value: string, over: Partial<FactRow> = {}): FactRow => ({
  value,
  month: 650,
  mask: 0b101,
  points: EMPTY_POINTS,
  ...over,
})

/** The fact that rows make. */
const factOf = (rows: ReadonlyArray<FactRow>): Fact => new Map(rows.map((row) => [factKey(row.value, row.month), row]))

/** Fails a commit that was only made to look something up, so that nothing of it is kept. */
const ONLY_LOOKED = new ReadModelUnavailable({ attempted: "write", reason: "it was only looked", retryable: false })

/** Fragments of one identity that may lie beside each other for each month, however many steps have added to them. */
const FRAGMENTS_BOUND = 8

const TABLES = [
  "settings",
  "measures",
  "checkpoints",
  "distinct_ids",
  "aliases",
  "facts",
  "counting",
  "cells",
  "dedupe",
  "duplicates",
  "quarantine",
]

/** Every row of every table of ours. */
const dump = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows: Record<string, ReadonlyArray<string>> = {}
  for (const table of TABLES) {
    const found = yield* sql<{ readonly row: string }>`SELECT row_to_json(t)::text AS row FROM ${sql(table)} t`
    rows[table] = found.map(({ row }) => row).sort()
  }
  return rows
})

/** Columns, indexes and views of ours, as the database describes them. */
const layout = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly row: string }>`
    SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS row
    FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = current_schema()`
  return rows.map(({ row }) => row).sort()
})

const bySpelling =
  <A>(nameOf: (row: A) => string) =>
  (a: A, b: A) =>
    nameOf(a) < nameOf(b) ? -1 : 1

/** What the read model keeps to, over any database that an SqlClient can speak to. Opened once, wiped for each test. */
export const readModelContract = (
  name: string,
  makeClient: () => Layer.Layer<SqlClient.SqlClient | BulkCopy, unknown>,
): void => {
  describe(`${name} as a read model`, () => {
    // Opening a database takes seconds, more on a busy machine.
    vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

    type Services = ReadModel | ReadModelQueries | SqlClient.SqlClient
    let runtime: ManagedRuntime.ManagedRuntime<Services, unknown>
    let readModel: ReadModel["Service"]
    let queries: ReadModelQueries["Service"]
    let settingsAtFirst: Settings | null

    const run = <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => runtime.runPromise(effect)

    beforeAll(async () => {
      runtime = ManagedRuntime.make(
        layerSqlReadModelQueries.pipe(Layer.provideMerge(layerSqlReadModel), Layer.provideMerge(makeClient())),
      )
      readModel = await run(ReadModel)
      queries = await run(ReadModelQueries)
      settingsAtFirst = await run(readModel.settings)
    })

    afterAll(() => runtime.dispose())

    /** Epochs that the test's own steps are committed under, by group and partition. */
    const epochs = new Map<string, number>()

    beforeEach(() => {
      epochs.clear()
      return run(emptied(readModel, DEFAULT_SETTINGS))
    })

    const epochOf = Effect.fnUntraced(function* (group: string, partition: number) {
      const place = `${group} ${partition}`
      const epoch = epochs.get(place) ?? (yield* readModel.claim(group, partition, "test")).epoch
      epochs.set(place, epoch)
      return epoch
    })

    /** Commits a step under an epoch, having looked up whom it changes, so that rows that are there are changed. */
    const committingUnder = ({ changes, ...step }: Draft, epoch: number) =>
      readModel.commit({ ...step, epoch }, (known) =>
        Effect.as(
          known.identities(
            changes.identities.map(({ distinctId }) => distinctId),
            false,
          ),
          changes,
        ),
      )

    /** The same as the owner of the partition, which the test is from its first step on. */
    const committing = Effect.fnUntraced(function* (step: Draft) {
      yield* committingUnder(step, yield* epochOf(step.group, step.partition))
    })

    /** What a step would see; nothing of it is kept. */
    const looking = Effect.fnUntraced(function* <A>(
      look: (known: KnownTables) => Effect.Effect<A, ReadModelUnavailable>,
    ) {
      const seen: Array<A> = []
      const group = "only-looks"
      const { changes: _, ...step } = stepOf(1, { group })
      const error = yield* Effect.flip(
        readModel.commit({ ...step, epoch: yield* epochOf(group, 0) }, (known) =>
          Effect.flatMap(look(known), (found) => {
            seen.push(found)
            return Effect.fail(ONLY_LOOKED)
          }),
        ),
      )
      expect(error).toBe(ONLY_LOOKED)
      return seen.at(-1)!
    })

    const commit = (step: Draft) => run(committing(step))
    const lookUp = <A>(look: (known: KnownTables) => Effect.Effect<A, ReadModelUnavailable>) => run(looking(look))
    const identitiesOf = (ids: ReadonlyArray<DistinctId>) => lookUp((known) => known.identities(ids, false))
    const wholeFacts = (measures: ReadonlyArray<number>, keys: ReadonlyArray<number>) => (known: KnownTables) =>
      known.facts(measures.map((measure) => ({ measure, keys })))
    const allFactsOf = (measures: ReadonlyArray<number>, keys: ReadonlyArray<number>): Promise<KnownFacts> =>
      lookUp(wholeFacts(measures, keys))
    /** Counts all persons of a group whose facts were only gathered. */
    const countAll = (group: string) => run(Effect.provideService(countAllPersons(group), ReadModel, readModel))
    const failureOf = <A, E>(effect: Effect.Effect<A, E, Services>) => run(Effect.flip(effect))
    const amountsOf = async (measure = 1) =>
      new Map(
        (await run(queries.cells(measure, RANGE))).map(({ item, stat, amount }) => [
          JSON.stringify([item, stat]),
          amount,
        ]),
      )

    test("begins with nothing", async () => {
      expect(settingsAtFirst).toBeNull()
      expect(await run(readModel.measures)).toEqual([])
      expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toBeNull()
      expect(await identitiesOf(["u:ann"])).toEqual({ rows: [], statements: [], newKeys: [1] })
      expect(await identitiesOf([])).toEqual({ rows: [], statements: [], newKeys: [] })
      expect(await run(queries.identities(["u:ann"]))).toEqual({ rows: [], statements: [] })
      expect(await allFactsOf([1, 2], [1])).toEqual([new Map(), new Map()])
      expect(await allFactsOf([], [])).toEqual([])
      expect(await run(readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual([])
      expect(await run(readModel.duplicates(0, 0))).toEqual(new Map())
      expect(await run(queries.storedRange)).toBeNull()
    })

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
        const sequence = (yield* readModel.checkpoint(LIVE_GROUP, 0))?.position.sequence ?? 0
        const sum = (yield* queries.cells(1, RANGE)).reduce((sum, { amount }) => sum + Number(amount), 0)
        const { settings, measures } = readModel
        return { sequence, sum, settings: yield* settings, measures: (yield* measures).length }
      })
      const first = () =>
        run(
          Effect.gen(function* () {
            yield* readModel.register([BUILTIN_METRICS.activeUsers])
            yield* committing(cellStep(1, [["", "events", "1"]]))
          }),
        )

      test("shows the tables as they stand at one moment, while a step is committed beside it", async () => {
        await first()
        const seen = await run(
          queries.snapshot(
            Effect.gen(function* () {
              const shared = yield* SharedDatabase
              const before = yield* standing
              const step = commit(cellStep(2, [["", "events", "10"]]))
              // Where there is but one connection, the step waits for it.
              if (shared) yield* Effect.promise(() => step)
              return { before, after: yield* queries.snapshot(standing), step }
            }),
          ),
        )
        expect(seen.before).toMatchObject({ sequence: 1, sum: 1 })
        expect(seen.after).toEqual(seen.before)
        await seen.step
        expect(await run(queries.snapshot(standing))).toMatchObject({ sequence: 2, sum: 11 })
      })

      test("keeps the tables from being emptied until it is through, whatever it has asked so far", async () => {
        await first()
        const seen = await run(
          queries.snapshot(
            Effect.gen(function* () {
              const shared = yield* SharedDatabase
              const measures = yield* readModel.measures
              const wiped = run(emptied(readModel, TOKYO))
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
        expect(await failureOf(queries.snapshot(Effect.fail(failure)))).toBe(failure)
        expect(await failureOf(queries.snapshot(emptied(readModel, DEFAULT_SETTINGS)))).toMatchObject({
          _tag: "ReadModelUnavailable",
          reason: expect.stringContaining("read-only transaction"),
        })
        expect(await run(standing)).toMatchObject({ sequence: 1, sum: 1 })
      })
    })

    test("is emptied by one of many that find it as it is at the same time", async () => {
      const found = await run(readModel.made)
      const all = await run(
        Effect.all(
          Array.from({ length: 4 }, () => readModel.wipe(TOKYO, found)),
          { concurrency: "unbounded" },
        ),
      )
      expect(all.filter((made) => made !== null)).toEqual([await run(readModel.made)])
    })

    describe("the checkpoint", () => {
      test("moves from where the step read, and carries all that goes with it", async () => {
        await commit(stepOf(1))
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(1))
        await commit(stepOf(2))
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(2))
      })

      test("is one for every group and partition", async () => {
        await commit(stepOf(1))
        await commit(stepOf(1, { partition: 1 }))
        await commit(stepOf(1, { group: "build-7" }))
        await commit(stepOf(2, { group: "build-7" }))
        expect((await run(readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
        expect((await run(readModel.checkpoint(LIVE_GROUP, 1)))?.position).toEqual(position(1, 1))
        expect((await run(readModel.checkpoint("build-7", 0)))?.position).toEqual(position(2))
        expect(await run(readModel.checkpoint("build-8", 0))).toBeNull()
        const all = await run(queries.checkpoints)
        expect(all.map(({ group, position }) => `${group} ${position.partition}`)).toEqual([
          "build-7 0",
          "live 0",
          "live 1",
        ])
      })

      test.each([
        ["the beginning", null],
        ["an earlier place", position(1)],
        ["a later place", position(3)],
        ["another batch", { ...position(2), batchId: "other.0.2" }],
        ["another log", { ...position(2), incarnation: "other" }],
      ])("refuses a step that read from %s, and writes nothing of it", async (_, expected) => {
        await commit(cellStep(1, [["a", "events", "1"]]))
        await commit(stepOf(2))
        const before = await run(dump)
        const step = stepOf(3, {
          expected,
          measures: [1],
          changes: {
            identities: [identity(1, "u:ann")],
            statements: [{ first: "a", second: "b", time: 1, joined: true }],
            measures: [
              {
                facts: [{ key: 1, rows: [factRow("")], replaces: false }],
                cells: [{ day: DAY, item: "a", stat: "events", amount: "5", cause: "late-data" as const }],
              },
            ],
          },
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "5", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(3, 1, ["id"], () => true)],
          duplicates: [{ sequence: 3, places: [0] }],
          failures: [{ partition: 0, sequence: 3, place: 0, metric: "m", cause: "c" }],
        })
        const error = await failureOf(committing(step))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", group: LIVE_GROUP, partition: 0, expected })
        expect(error.message).toContain("another projector has gone on. Nothing was written.")
        expect(await run(dump)).toEqual(before)
        await commit({ ...step, expected: position(2) })
        expect(await run(dump)).not.toEqual(before)
      })

      test("is moved once by two steps from one place at one time", async () => {
        await commit(stepOf(1))
        const attempt = (n: number) => Effect.exit(committing(cellStep(2, [[`item ${n}`, "events", "1"]])))
        const outcomes = await run(Effect.forEach([1, 2, 3, 4], attempt, { concurrency: "unbounded" }))
        expect(outcomes.filter(({ _tag }) => _tag === "Success").length).toBe(1)
        expect((await amountsOf()).size).toBe(1)
      })
    })

    describe("a claim", () => {
      const claim = (owner: string, group = LIVE_GROUP, partition = 0) => run(readModel.claim(group, partition, owner))

      test("raises the epoch and gives the checkpoint, of its own group and partition", async () => {
        const first = await claim("one")
        expect(first.checkpoint).toBeNull()
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toBeNull()
        expect(await run(queries.checkpoints)).toEqual([])
        const again = await claim("one")
        expect(again.epoch).toBeGreaterThan(first.epoch)
        expect(again.checkpoint).toBeNull()
        await run(committingUnder(stepOf(1), again.epoch))
        const other = await claim("other")
        expect(other.epoch).toBeGreaterThan(again.epoch)
        expect(other.checkpoint).toEqual(checkpoint(1))
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(1))
        await claim("one", LIVE_GROUP, 1)
        await claim("one", "build-7")
        await run(committingUnder(stepOf(2), other.epoch))
      })

      const earlierEpoch = async () => {
        const first = await claim("one")
        await run(committingUnder(cellStep(1, [["a", "events", "1"]]), first.epoch))
        return { first, second: await claim("other") }
      }
      const everything = (sequence: number) =>
        cellStep(sequence, [["a", "events", "1"]], {
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "5", cause: "late-data" }],
          dedupe: [DedupeIndex.entry(sequence, 1, ["id"], () => true)],
          duplicates: [{ sequence, places: [0] }],
          failures: [{ partition: 0, sequence, place: 0, metric: "m", cause: "c" }],
        })

      test("ends the steps of the owner before it, also where it has committed nothing", async () => {
        const { first, second } = await earlierEpoch()
        const before = await run(dump)
        const error = await failureOf(committingUnder(everything(2), first.epoch))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", expected: position(1), epoch: first.epoch })
        expect(error.message).toContain(
          `under epoch ${first.epoch}: another projector has gone on. Nothing was written.`,
        )
        expect(await run(dump)).toEqual(before)
        await run(committingUnder(everything(2), second.epoch))
      })

      test("ends the steps of the owner before it where it has gone on, wherever these read from", async () => {
        const { first, second } = await earlierEpoch()
        await run(committingUnder(everything(2), second.epoch))
        const before = await run(dump)
        for (const sequence of [2, 3]) {
          const error = await failureOf(committingUnder(everything(sequence), first.epoch))
          expect(error).toMatchObject({ _tag: "CheckpointConflict", epoch: first.epoch })
        }
        expect(await run(dump)).toEqual(before)
      })

      test.each([
        ["everything was wiped", LIVE_GROUP, () => Effect.asVoid(emptied(readModel, TOKYO))],
        ["its group has gone live", "build-1", () => Effect.asVoid(readModel.promote("build-1"))],
      ] as const)("ends the steps of an owner from before %s", async (_, group, ending) => {
        const first = await claim("one", group)
        await run(ending())
        const second = await claim("other", group)
        expect(second.checkpoint).toBeNull()
        const before = await run(dump)
        const step = cellStep(1, [["", "users", "1"]], { group })
        const error = await failureOf(committingUnder(step, first.epoch))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", group, epoch: first.epoch })
        expect(await run(dump)).toEqual(before)
        await run(committingUnder(step, second.epoch))
      })

      test("must come before the first step", async () => {
        const before = await run(dump)
        const error = await failureOf(committingUnder(everything(1), 1))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", expected: null, epoch: 1 })
        const { epoch } = await claim("one", LIVE_GROUP, 1)
        await failureOf(committingUnder(everything(1), epoch))
        const { checkpoints: _, ...others } = await run(dump)
        expect({ ...others, checkpoints: [] }).toEqual(before)
      })

      test.each([
        ["claim", ["claim", "commit"]],
        ["step", ["commit", "claim"]],
      ] as const)("and a step at one time: the %s is first, and the other knows of it", async (_, order) => {
        const { epoch } = await claim("one")
        const attempts = {
          claim: Effect.map(readModel.claim(LIVE_GROUP, 0, "other"), ({ checkpoint }) => checkpoint !== null),
          commit: Effect.match(committingUnder(cellStep(1, [["a", "events", "1"]]), epoch), {
            onFailure: ({ _tag }) => _tag !== "CheckpointConflict",
            onSuccess: () => true,
          }),
        }
        const [one, other] = await run(
          Effect.all(
            order.map((name) => attempts[name]),
            { concurrency: "unbounded" },
          ),
        )
        expect(one).toBe(other)
        expect((await amountsOf()).size).toBe(one! ? 1 : 0)
      })
    })

    test("a step that cannot be settled leaves everything as it was, and says why", async () => {
      await commit(cellStep(1, [["a", "events", "1"]]))
      const before = await run(dump)
      const { changes: _, ...step } = cellStep(2, [["a", "events", "1"]])
      const reason = new ReadModelUnavailable({ attempted: "settle", reason: "of a reason", retryable: true })
      const epoch = await run(epochOf(LIVE_GROUP, 0))
      const settle = (known: KnownTables) => Effect.andThen(known.identities(["u:ann"], false), Effect.fail(reason))
      expect(await failureOf(readModel.commit({ ...step, epoch }, settle))).toBe(reason)
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
      [
        "a batch of the dedupe index that is there already",
        stepOf(2, { dedupe: [DedupeIndex.entry(1, 1, ["x"], () => true)] }),
      ],
    ])("a commit that fails at %s leaves everything as it was", async (_, step) => {
      await commit(
        cellStep(1, [["", "events", "1"]], {
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(1, 1, ["id"], () => true)],
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

    describe("who is who", () => {
      test("comes back as it went in, whatever the ids are", async () => {
        const rows = TEXTS.flatMap((text, n): ReadonlyArray<Identity> => [
          identity(3 * n + 1, `u:${text}`),
          identity(3 * n + 2, `a:${text}`, { person: 3 * n + 1, link: { time: n, userId: text } }),
          identity(-(3 * n + 2), `a:${text}`, { older: true, link: null }),
        ])
        const statements = TEXTS.slice(1).map((text, n): AliasStatement => ({
          first: TEXTS[n]!,
          second: text,
          time: n,
          joined: n % 2 === 0,
        }))
        await commit(stepOf(1, { changes: { identities: rows, statements, measures: [] } }))
        const ids = [...new Set(rows.map(({ distinctId }) => distinctId))]
        const byKey = (all: ReadonlyArray<Identity>) => all.toSorted((a, b) => a.key - b.key)
        const byTime = (all: ReadonlyArray<AliasStatement>) => all.toSorted((a, b) => a.time - b.time)
        const known = await identitiesOf(ids)
        expect(known.newKeys).toEqual([])
        for (const found of [known, await run(queries.identities(ids))]) {
          deepStrictEqual(byKey(found.rows), byKey(rows))
          deepStrictEqual(byTime(found.statements), byTime(statements))
        }
        for (const [n, text] of TEXTS.entries()) {
          const person = await run(queries.personOf(`a:${text}`))
          deepStrictEqual(
            person.map(({ key }) => key),
            [3 * n + 1, 3 * n + 2],
          )
        }
      })

      test("comes with all members of the persons asked for, their older parts and their statements, and no others", async () => {
        const rows = [
          identity(1, "u:ann"),
          identity(2, "u:bob", { person: 1 }),
          identity(3, "a:d1", { person: 1, link: { time: 5, userId: "bob" } }),
          identity(-3, "a:d1", { older: true }),
          identity(5, "u:cid"),
          identity(6, "a:d2"),
        ]
        const statements = [
          { first: "ann", second: "bob", time: 1, joined: true },
          { first: "bob", second: "zoe", time: 2, joined: false },
          { first: "cid", second: "dan", time: 3, joined: false },
        ]
        await commit(stepOf(1, { changes: { identities: rows, statements, measures: [] } }))
        const keysOf = async (...ids: ReadonlyArray<DistinctId>) => {
          const keysAndTimes = ({ rows, statements }: Pick<KnownIdentities, "rows" | "statements">) => [
            rows.map(({ key }) => key).sort(),
            statements.map(({ time }) => time).sort(),
          ]
          const known = keysAndTimes(await identitiesOf(ids))
          expect(keysAndTimes(await run(queries.identities(ids)))).toEqual(known)
          return known
        }
        expect(await keysOf("u:ann")).toEqual([
          [1, 2, 3],
          [1, 2],
        ])
        expect(await keysOf("a:d1", "u:bob")).toEqual([
          [-3, 1, 2, 3],
          [1, 2],
        ])
        expect(await keysOf("u:cid", "a:d2", "u:nobody")).toEqual([[5, 6], [3]])
      })

      test("changes row by row", async () => {
        await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [identity(1, "u:ann"), identity(2, "a:d1")] } }))
        const moved = identity(2, "a:d1", { person: 1, link: { time: 7, userId: "ann" } })
        const said = { first: "ann", second: "bob", time: 1, joined: true }
        await commit(stepOf(2, { changes: { identities: [moved], statements: [said], measures: [] } }))
        const again = { ...said, time: 2, joined: false }
        await commit(stepOf(3, { changes: { ...NO_CHANGES, statements: [again] } }))
        const { rows, statements } = await identitiesOf(["u:ann"])
        expect(rows.toSorted((a, b) => a.key - b.key)).toEqual([identity(1, "u:ann"), moved])
        expect(statements).toEqual([again])
      })

      test("has one row for each distinct id: who was not looked up is taken to be new", async () => {
        await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [identity(1, "u:ann")] } }))
        const before = await run(dump)
        const { changes: _, ...step } = stepOf(2)
        const epoch = await run(epochOf(LIVE_GROUP, 0))
        const identities = [identity(2, "u:bob"), identity(3, "u:ann")]
        const error = await failureOf(
          readModel.commit({ ...step, epoch }, () => Effect.succeed({ ...NO_CHANGES, identities })),
        )
        expect(error).toMatchObject({ _tag: "ReadModelUnavailable", attempted: "commit a step of the projection" })
        expect(await run(dump)).toEqual(before)
      })

      /** Commits a step that names distinct ids and makes those that are missing; gives the keys that it was given. */
      const naming = Effect.fnUntraced(function* (sequence: number, partition: number, ids: ReadonlyArray<DistinctId>) {
        const given: Array<ReadonlyArray<number>> = []
        const { changes: _, ...step } = stepOf(sequence, { partition })
        yield* readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, partition) }, (known) =>
          Effect.map(known.identities(ids, false), ({ rows, newKeys }) => {
            const held = new Set(rows.map(({ distinctId }) => distinctId))
            const missing = ids.filter((id) => !held.has(id))
            expect(newKeys.length).toBeGreaterThanOrEqual(missing.length)
            given.push(newKeys)
            return { ...NO_CHANGES, identities: missing.map((id, n) => identity(newKeys[n]!, id)) }
          }),
        )
        return given.flat()
      })

      const expectAllDifferent = (keys: ReadonlyArray<number>): void => {
        expect(keys.filter((key) => !Number.isInteger(key) || key <= 0)).toEqual([])
        expect(new Set(keys).size).toBe(keys.length)
      }

      test("gives keys to those who are missing, and none twice, also not after a step that failed", async () => {
        const first = await run(naming(1, 0, ["u:ann", "a:d1", "u:bob"]))
        const { newKeys } = await identitiesOf(["u:ann", "u:cid"])
        const third = await run(naming(2, 0, ["u:cid", "u:ann", "u:dan"]))
        expectAllDifferent([...first, ...newKeys, ...third])
        expect(await run(naming(3, 0, ["u:ann", "u:cid", "u:dan", "u:bob"]))).toEqual([])
        expect((await run(queries.sizes)).distinctIds).toBe(5)
      })

      test("gives no key twice to steps of many partitions at one time", async () => {
        const partitions = Array.from({ length: 8 }, (_, n) => n)
        const idsOf = (partition: number, step: number): ReadonlyArray<DistinctId> =>
          Array.from({ length: 5 }, (_, n) => `u:${partition} ${step} ${n}` as const)
        const all = await run(
          Effect.forEach(
            partitions,
            (partition) => Effect.forEach([1, 2, 3], (step) => naming(step, partition, idsOf(partition, step))),
            { concurrency: "unbounded" },
          ),
        )
        const given = all.flat(2)
        expectAllDifferent(given)
        const ids = partitions.flatMap((partition) => [1, 2, 3].flatMap((step) => idsOf(partition, step)))
        const { rows } = await run(queries.identities(ids))
        expect(rows.map(({ distinctId }) => distinctId).sort()).toEqual(ids.toSorted())
        expect(rows.filter(({ key }) => !given.includes(key))).toEqual([])
      })
    })

    describe("facts", () => {
      const points = {
        times: [0, 1_763_769_600_000, 1_763_769_600_000, 8_640_000_000_000_000],
        keys: [eventKey(255, 2 ** 32 - 1, 4095), 1, eventKey(3, 1_000_000, 7), 2],
        labels: ["", ...TEXTS.slice(13, 16)],
      }
      const sorted = (rows: Iterable<FactRow>) => [...rows].sort(bySpelling((row) => `${row.month}|${row.value}`))
      const rowsByKey = (facts: ReadonlyMap<number, Fact>) =>
        new Map([...facts].sort(([a], [b]) => a - b).map(([key, fact]) => [key, sorted(fact.values())]))
      const factsOf = async (measure: number, keys: ReadonlyArray<number>) =>
        rowsByKey((await allFactsOf([measure], keys))[0]!)
      const factStep = (sequence: number, facts: ReadonlyArray<FactChange>, measures = [1]) =>
        stepOf(sequence, { measures, changes: { ...NO_CHANGES, measures: measures.map(() => ({ facts, cells: [] })) } })
      const joins = (key: number, ...rows: ReadonlyArray<FactRow>): FactChange => ({ key, rows, replaces: false })
      const replaces = (key: number, ...rows: ReadonlyArray<FactRow>): FactChange => ({ key, rows, replaces: true })

      test("come back as they went in, whatever their values, months, masks and moments", async () => {
        const rows = sorted([
          ...TEXTS.map((value) => factRow(value)),
          factRow("all days", { mask: 0x7fffffff }),
          factRow("before 1970", { month: -1, mask: 1 }),
          factRow("far", { month: 100_000, mask: 1 << 30 }),
          factRow("moments", { points }),
          // Rows that have their month to themselves.
          factRow("", { month: 651 }),
          factRow("", { month: 652, points }),
          factRow("alone", { month: 653, points }),
        ])
        await commit(factStep(1, [joins(9, ...rows)]))
        const facts = await factsOf(1, [9])
        deepStrictEqual(facts.get(9), rows)
        for (const [key, row] of (await allFactsOf([1], [9]))[0]!.get(9)!) {
          expect(key).toBe(`${row.month}|${row.value}`)
        }
      })

      test("are kept by measure and key, and given in the order asked for", async () => {
        await commit(factStep(1, [joins(1, factRow("x"))], [4, 2]))
        await commit(factStep(2, [joins(2, factRow("y"))], [2]))
        const [two, four, none] = await allFactsOf([2, 4, 3], [1, 2, 3])
        expect([...two!.keys()].sort()).toEqual([1, 2])
        expect([...four!.keys()]).toEqual([1])
        expect(none!.size).toBe(0)
      })

      test("are joined to what is there", async () => {
        const later: Points = {
          times: [5, ...points.times.slice(2)],
          keys: [9, ...points.keys.slice(2)],
          labels: points.labels.slice(1),
        }
        const first = [factRow("a", { points }), factRow("b")]
        const second = [factRow("a", { mask: 8, points: later }), factRow("\0"), factRow("b", { month: 651 })]
        await commit(factStep(1, [joins(1, ...first), joins(-1, factRow("older"))]))
        await commit(factStep(2, [joins(1, ...second)]))
        const joined = joinFacts(factOf(first), factOf(second))
        expect(joined.get(factKey("a", 650))).toMatchObject({ mask: 0b1101, points: { times: { length: 5 } } })
        deepStrictEqual(
          await factsOf(1, [1, -1]),
          new Map([
            [-1, [factRow("older")]],
            [1, sorted(joined.values())],
          ]),
        )
      })

      test("take the place of what is there where they replace it, in their measure and of their identity alone", async () => {
        const first = [factRow("a", { points }), factRow("b"), factRow("c", { month: 651 })]
        await commit(factStep(1, [joins(1, ...first), joins(2, factRow("b")), joins(3, factRow("b"))], [1, 2]))
        // In fragments, all of which have to go.
        await commit(factStep(2, [joins(1, factRow("a", { month: 652 }))]))
        await commit(
          factStep(3, [
            replaces(1, factRow("a", { mask: 8 }), factRow("\0")),
            replaces(3),
            replaces(4),
            replaces(5, factRow("new")),
          ]),
        )
        deepStrictEqual(
          await factsOf(1, [1, 2, 3, 4, 5]),
          new Map([
            [1, [factRow("\0"), factRow("a", { mask: 8 })]],
            [2, [factRow("b")]],
            [5, [factRow("new")]],
          ]),
        )
        deepStrictEqual(
          await factsOf(2, [1, 2, 3]),
          new Map([
            [1, sorted(first)],
            [2, [factRow("b")]],
            [3, [factRow("b")]],
          ]),
        )
      })

      test("come for the identities that each measure asks for", async () => {
        const rows = [
          factRow("a"),
          factRow("b", { month: 651 }),
          factRow("", { month: 652 }),
          factRow("c", { month: -3 }),
        ]
        await commit(factStep(1, [joins(1, ...rows), joins(2, ...rows), joins(3, ...rows)], [1, 2, 3]))
        const ask = async (...needs: ReadonlyArray<readonly [measure: number, keys: ReadonlyArray<number>]>) =>
          (await lookUp((known) => known.facts(needs.map(([measure, keys]) => ({ measure, keys }))))).map(rowsByKey)
        const all = sorted(rows)
        deepStrictEqual(await ask([2, [1, 2, 4]], [1, [2]], [3, []]), [
          new Map([
            [1, all],
            [2, all],
          ]),
          new Map([[2, all]]),
          new Map(),
        ])
        const alike = [3, 1]
        const both = new Map([
          [1, all],
          [3, all],
        ])
        deepStrictEqual(await ask([3, alike], [1, alike]), [both, both])
      })

      describe("of many steps", () => {
        const MONTHS = [650, 651]
        /** What the n-th step learns: now and then something new, and always something that is known in part. */
        const rowsOfStep = (n: number): ReadonlyArray<FactRow> =>
          MONTHS.flatMap((month) =>
            ["", "a", TEXTS[n % TEXTS.length]!]
              .filter((value, at, all) => all.indexOf(value) === at)
              .map((value, at) => {
                const events = [n, n + 1, n + 2 + at]
                return factRow(value, {
                  month,
                  mask: (1 << (n % 31)) | (1 << ((n * 7) % 31)),
                  points:
                    at === 0
                      ? EMPTY_POINTS
                      : {
                          times: events.map((event) => event * 1000),
                          keys: events.map((event) => eventKey(1, event + 1, month)),
                          labels: events.map((event) => TEXTS[event % TEXTS.length]!),
                        },
                })
              }),
          )
        const joinedAfter = (steps: number): ReadonlyArray<FactRow> =>
          sorted(
            Array.from({ length: steps }, (_, n) => factOf(rowsOfStep(n)))
              .reduce(joinFacts, EMPTY_FACT)
              .values(),
          )
        const write = (steps: number) =>
          Effect.gen(function* () {
            for (let n = 0; n < steps; n++) {
              const step = factStep(n + 1, [joins(1, ...rowsOfStep(n)), joins(2, ...rowsOfStep(n + 1))])
              yield* committing({
                ...step,
                changes: { ...step.changes, identities: n === 0 ? [identity(1, "u:ann"), identity(2, "u:bob")] : [] },
              })
            }
          })
        /** A step that reads facts as others do, and changes nothing. */
        const reading = Effect.fnUntraced(function* (
          sequence: number,
          look: (known: KnownTables) => Effect.Effect<KnownFacts, ReadModelUnavailable>,
        ) {
          const { changes, ...step } = stepOf(sequence)
          yield* readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, 0) }, (known) =>
            Effect.as(look(known), changes),
          )
        })

        /** All that the facts of the two say, by each way to ask. */
        const allAnswers = Effect.gen(function* () {
          const [facts] = yield* looking(wholeFacts([1], [1, 2]))
          const personFacts = yield* queries.personFacts(1)
          return { facts: rowsByKey(facts!), personFacts: rowsByKey(personFacts) }
        })

        test("come back as their join, by every way to ask", async () => {
          await run(write(20))
          const { facts, personFacts } = await run(allAnswers)
          deepStrictEqual(facts.get(1), joinedAfter(20))
          deepStrictEqual(personFacts, facts)
        })

        test("say the same after they were put together", async () => {
          await run(write(20))
          const before = await run(allAnswers)
          await run(reading(21, (known) => known.facts([{ measure: 1, keys: [1] }])))
          deepStrictEqual(await run(allAnswers), before)
          await run(reading(22, wholeFacts([1], [1, 2])))
          deepStrictEqual(await run(allAnswers), before)
          expect((await run(queries.sizes)).facts).toBeLessThanOrEqual(2 * MONTHS.length * FRAGMENTS_BOUND)
        })

        test("stay few where each reads what it adds to", async () => {
          const steps = 40
          let most = 0
          for (let n = 0; n < steps; n++) {
            const { changes, ...step } = factStep(n + 1, [joins(1, ...rowsOfStep(n))])
            const epoch = await run(epochOf(LIVE_GROUP, 0))
            await run(
              readModel.commit({ ...step, epoch }, (known) =>
                Effect.as(known.facts([{ measure: 1, keys: [1] }]), changes),
              ),
            )
            most = Math.max(most, (await run(queries.sizes)).facts)
          }
          expect(most).toBeLessThanOrEqual(MONTHS.length * FRAGMENTS_BOUND)
          deepStrictEqual((await factsOf(1, [1])).get(1), joinedAfter(steps))
        })
      })

      test("come in any number", async () => {
        const many = Array.from({ length: 20_001 }, (_, i) => joins(i + 1, factRow("", { mask: (i % 31) + 1 })))
        const identities = many.map(({ key }) => identity(key, `u:${key}`))
        await commit({ ...factStep(1, many), changes: { ...factStep(1, many).changes, identities } })
        const known = await identitiesOf(identities.map(({ distinctId }) => distinctId))
        expect(known.rows.length).toBe(20_001)
        const facts = await factsOf(
          1,
          many.map(({ key }) => key),
        )
        expect(facts.size).toBe(20_001)
        expect(facts.get(20_001)).toEqual([factRow("", { mask: (20_000 % 31) + 1 })])
        await commit(
          factStep(
            2,
            many.map(({ key }) => replaces(key)),
          ),
        )
        expect((await run(queries.sizes)).facts).toBe(0)
      })
    })

    describe("steps of many partitions at one time", () => {
      const zone = TimeZone.utc
      const partitions = Array.from({ length: 6 }, (_, n) => n)
      const ROUNDS = 4
      const NOON = Date.parse("2024-03-01T12:00:00Z")
      const HOUR = 3_600_000

      let made = 0
      const event = (over: Partial<Event>): Event => ({
        id: `e${made++}`,
        kind: "track",
        name: "click",
        userId: null,
        anonymousId: null,
        sessionId: null,
        time: NOON,
        timestamp: null,
        sentAt: null,
        receivedAt: null,
        warnings: [],
        body: {},
        ...over,
      })

      const logged = (partition: number, sequence: number, events: ReadonlyArray<Event>): LoggedBatch => {
        const origin = { writer: "w", number: sequence, previous: "", partition, loggedAt: NOON }
        return { partition, sequence, batch: Result.getOrThrow(decodeBatch(encodeBatch(origin, events).bytes)) }
      }

      test("touch the same persons and end as if one had come after the other", async () => {
        const { length } = partitions
        // A ring of persons: each partition joins its own to the next, and gives the next one's device an owner.
        const first = partitions.map((n) =>
          logged(n, 1, [
            event({ userId: `u${n}` }),
            event({ anonymousId: `d${n}`, time: NOON - HOUR }),
            // Before the merge window: it stays with the device.
            event({ anonymousId: `d${n}`, time: NOON - 40 * 24 * HOUR }),
          ]),
        )
        const rest = partitions.map((n) =>
          Array.from({ length: ROUNDS }, (_, round) => {
            const [own, next] = [`u${n}`, `u${(n + 1) % length}`]
            const time = NOON + round * 24 * HOUR + n
            const links = event({ userId: next, anonymousId: `d${(n + round) % length}`, time: time - round * HOUR })
            const states = event({ kind: "alias", name: "alias", userId: own, time, body: { previousId: next } })
            const undoes = event({ kind: "unalias", name: "unalias", userId: own, time, body: { previousId: next } })
            const acts = [event({ userId: own, time }), event({ anonymousId: `d${n}`, time: time + 1 })]
            return logged(n, round + 2, [...acts, links, round % 2 === 1 && n < 3 ? undoes : states])
          }),
        )
        const definitions = [BUILTIN_METRICS.activeUsers, BUILTIN_METRICS.activeUsersByEvent, BUILTIN_METRICS.sessions]
        const versions = await run(readModel.register(definitions))
        const measures = versions.map(({ definition }) => compileMeasure(definition, zone))
        const members = versions.map(({ id }) => ({ id, follows: false }))
        const { mergeWindowMillis } = DEFAULT_SETTINGS
        /** Tables that let others have a turn after each look. */
        const yieldingAfter = (known: KnownTables): KnownTables => ({
          ...known,
          identities: (...asked) => Effect.tap(known.identities(...asked), () => Effect.yieldNow),
          facts: (needs) => Effect.tap(known.facts(needs), () => Effect.yieldNow),
        })

        const projecting = Effect.fnUntraced(
          function* ({ partition, sequence, batch }: LoggedBatch) {
            const fold = new Fold(measures, zone)
            fold.add(partition, sequence, batch, new Set())
            const { changes: _, ...step } = stepOf(sequence, {
              partition,
              measures: versions.map(({ id }) => id),
              intake: fold.intake.deltas(),
            })
            yield* readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, partition) }, (known) =>
              settle(fold, yieldingAfter(known), members, { mergeWindowMillis, zone }),
            )
          },
          Effect.retry({ times: 100, while: (error) => error._tag === "ReadModelUnavailable" && error.retryable }),
        )

        const expected = new MemoryReadModel(measures, DEFAULT_SETTINGS)
        for (const batch of [...first, ...rest.flat()]) expected.step([batch])
        // Of nobody yet, so that from now on steps count everybody.
        await countAll(LIVE_GROUP)
        await run(Effect.forEach(first, projecting))
        await run(Effect.forEach(rest, (batches) => Effect.forEach(batches, projecting), { concurrency: "unbounded" }))

        const ids = partitions.flatMap((n): ReadonlyArray<DistinctId> => [`u:u${n}`, `a:d${n}`])
        const { rows } = await run(queries.identities(ids))
        const nameOf = new Map(rows.map((row) => [row.key, row.older ? `${row.distinctId}#older` : row.distinctId]))
        const mains = rows.filter(({ older }) => !older)
        deepStrictEqual(
          new Map(
            mains.map((row) => [row.distinctId, nameOf.get(row.person)!] as const).sort(bySpelling(([id]) => id)),
          ),
          expected.personOf,
        )
        expect(rows.length - mains.length).toBe(length)
        const known = await allFactsOf(
          versions.map(({ id }) => id),
          rows.map(({ key }) => key),
        )
        for (const [m, { id }] of versions.entries()) {
          const cells = await run(queries.cells(id, RANGE))
          deepStrictEqual(
            new Map(
              cells
                .map(({ day, item, stat, amount }) => [`${formatDay(day)}|${item}|${stat}`, amount] as const)
                .sort(bySpelling(([cell]) => cell)),
            ),
            expected.cells(m),
          )
          deepStrictEqual(
            new Map(
              Array.from(
                known[m]!,
                ([key, fact]) =>
                  [
                    nameOf.get(key)!,
                    [...fact.values()].sort(bySpelling((row) => factKey(row.value, row.month))),
                  ] as const,
              ).sort(bySpelling(([name]) => name)),
            ),
            expected.facts(m),
          )
        }
      })
    })

    describe("cells", () => {
      test("add up exactly, whatever their items and statistics are", async () => {
        const cells = TEXTS.flatMap((item, n) => [
          [item, "users", String(n + 1)] as const,
          ["", `sum:${item}`, "0.1"] as const,
        ])
        await commit(cellStep(1, cells))
        await commit(
          cellStep(
            2,
            cells.map(([item, stat]) => [item, stat, stat === "users" ? "1" : "0.2"] as const),
          ),
        )
        const expected = new Map(
          cells.map(([item, stat], i) => [
            JSON.stringify([item, stat]),
            stat === "users" ? String(Math.floor(i / 2) + 2) : "0.3",
          ]),
        )
        deepStrictEqual(new Map([...(await amountsOf())].sort()), new Map([...expected].sort()))
        for (const item of TEXTS) {
          const found = await run(queries.cells(1, RANGE, { item, stats: ["users"] }))
          expect(found.map((cell) => cell.item)).toEqual([item])
        }
      })

      test("take any decimal", async () => {
        const amounts = ["1e21", "-0.1", "0.000000000000000000000000000001", "123456789012345678901234567890.5"]
        await commit(
          cellStep(
            1,
            amounts.map((amount, n) => [String(n), "sum", amount]),
          ),
        )
        expect([...(await amountsOf()).values()]).toEqual([
          "1000000000000000000000",
          "-0.1",
          "0.000000000000000000000000000001",
          "123456789012345678901234567890.5",
        ])
      })

      test("are as long as items can be, in both places at once", async () => {
        // Each half of a surrogate pair takes six characters to store; the worst that boundedItem lets through.
        const item = noise(256, (n) => 0xd800 + (n % 1024))
        const stat = `count:${noise(256, (n) => 0xdc00 + ((n * 7) % 1024))}`
        const cjk = noise(256, (n) => 0x4e00 + (n % 20_000))
        await commit(
          cellStep(1, [
            [item, stat, "1"],
            [cjk, `sum:${cjk}`, "1"],
          ]),
        )
        expect((await amountsOf()).size).toBe(2)
      })

      test("that come to nothing are gone", async () => {
        await commit(
          cellStep(1, [
            ["a", "users", "1"],
            ["b", "users", "2"],
            ["c", "sum", "1.5"],
          ]),
        )
        await commit(
          cellStep(2, [
            ["a", "users", "-1"],
            ["b", "users", "-1"],
            ["c", "sum", "-1.50"],
          ]),
        )
        expect(await amountsOf()).toEqual(new Map([[JSON.stringify(["b", "users"]), "1"]]))
      })

      test("give the persons of any range: each counts on its first day there", async () => {
        await commit(
          cellStep(1, [
            ["a", "users", "9"],
            ["a", "new", "2"],
            ["a", "again:1", "3"],
            ["a", "again:400", "4"],
            ["b", "new", "1"],
            ["b", "events", "8"],
          ]),
        )
        const uniques = (from: number, to = DAY) => run(queries.uniquesByValue(1, { from, to }))
        expect(new Map(await uniques(DAY))).toEqual(
          new Map([
            ["a", 9],
            ["b", 1],
          ]),
        )
        expect((await uniques(DAY - 1)).get("a")).toBe(6)
        expect((await uniques(DAY - 399)).get("a")).toBe(6)
        expect((await uniques(DAY - 400)).get("a")).toBe(2)
        expect(await uniques(DAY - 9, DAY - 1)).toEqual(new Map())
        const returned = await run(queries.returned(1, "a", { from: DAY, to: DAY }))
        expect(returned.toSorted((a, b) => a.since - b.since)).toEqual([
          { day: DAY, since: 1, users: 3 },
          { day: DAY, since: 400, users: 4 },
          { day: DAY, since: Number.POSITIVE_INFINITY, users: 2 },
        ])
        expect(await run(queries.returned(1, "c", RANGE))).toEqual([])
      })

      test("late-equals-on-time: a cell that changes after it was published says when and why", async () => {
        await commit(
          cellStep(1, [
            ["late", "events", "1"],
            ["still", "events", "1"],
          ]),
        )
        const first = await run(queries.cells(1, RANGE))
        expect(first.map(({ revisedAt, revisionCause }) => [revisedAt, revisionCause])).toEqual([
          [null, null],
          [null, null],
        ])
        await commit(
          cellStep(2, [
            ["late", "events", "1"],
            ["new", "events", "1"],
          ]),
        )
        const [late, fresh, still] = await run(queries.cells(1, RANGE))
        expect(late).toMatchObject({ item: "late", revisedAt: checkpoint(2).logTime, revisionCause: "late-data" })
        expect(fresh).toMatchObject({ item: "new", revisedAt: null, revisionCause: null })
        expect(still).toMatchObject({ item: "still", revisedAt: null, revisionCause: null })
        const third = cellStep(3, [["late", "events", "1"]])
        const measures = third.changes.measures.map(({ facts, cells }) => ({
          facts,
          cells: cells.map((cell) => ({ ...cell, cause: "identity" as const })),
        }))
        await commit({ ...third, changes: { ...third.changes, measures } })
        const [revised] = await run(queries.cells(1, RANGE, { item: "late" }))
        expect(revised).toMatchObject({ amount: "3", revisedAt: checkpoint(3).logTime, revisionCause: "identity" })
      })

      test("of the intake are the default group's alone", async () => {
        const intake = [{ day: DAY, item: "", stat: "activity", amount: "3", cause: "late-data" as const }]
        await commit(stepOf(1, { intake }))
        await commit(stepOf(1, { group: "build-2", intake }))
        expect([...(await amountsOf(INTAKE)).values()]).toEqual(["3"])
        expect(await run(queries.storedRange)).toEqual({ from: DAY, to: DAY })
      })
    })

    describe("dedupe", () => {
      const entry = (sequence: number, loggedAt: number) =>
        DedupeIndex.entry(sequence, loggedAt, [`a${sequence}`, "\0😀", "c"], (place) => place !== 2)

      test("entries come back as they went in, in order, from a moment on", async () => {
        const entries = [entry(1, 100), entry(2, 100), entry(3, 300)]
        await commit(stepOf(1, { dedupe: entries.toReversed() }))
        await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 5)] }))
        expect(await run(readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual(entries)
        expect(await run(readModel.dedupeEntries(0, 101))).toEqual(entries.slice(2))
        expect(await run(readModel.dedupeEntries(1, 0))).toEqual([entry(1, 5)])
      })

      test("entries before the horizon are forgotten, in their partition alone", async () => {
        await commit(stepOf(1, { dedupe: [entry(1, 100), entry(2, 200)] }))
        await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 100)] }))
        await commit(stepOf(2, { dedupe: [entry(3, 300)], dedupeFrom: 200 }))
        expect(await run(readModel.dedupeEntries(0, 0))).toEqual([entry(2, 200), entry(3, 300)])
        expect((await run(readModel.dedupeEntries(1, 0))).length).toBe(1)
      })

      test("places of duplicates come back by batch", async () => {
        await commit(
          stepOf(1, {
            duplicates: [
              { sequence: 1, places: [0, 4095] },
              { sequence: 2 ** 32, places: [7] },
            ],
          }),
        )
        await commit(stepOf(1, { partition: 1, duplicates: [{ sequence: 1, places: [1] }] }))
        expect(await run(readModel.duplicates(0, 0))).toEqual(
          new Map([
            [1, new Set([0, 4095])],
            [2 ** 32, new Set([7])],
          ]),
        )
        expect(await run(readModel.duplicates(0, 1))).toEqual(new Map([[2 ** 32, new Set([7])]]))
        expect(await run(readModel.duplicates(0, 2 ** 32))).toEqual(new Map())
        expect(await run(readModel.duplicates(1, 0))).toEqual(new Map([[1, new Set([1])]]))
      })

      test("is the default group's alone", async () => {
        await commit(stepOf(1, { group: "build-2", dedupe: [entry(1, 1)], duplicates: [{ sequence: 1, places: [0] }] }))
        expect(await run(readModel.dedupeEntries(0, 0))).toEqual([])
        expect(await run(readModel.duplicates(0, 0))).toEqual(new Map())
      })
    })

    test("failures to fold are kept once, with their cause", async () => {
      const failures = TEXTS.map((cause, place) => ({ partition: 0, sequence: 1, place, metric: "m", cause }))
      await commit(stepOf(1, { failures }))
      await commit(stepOf(1, { group: "build-2", failures }))
      deepStrictEqual(await run(queries.failures), failures)
    })

    describe("metrics", () => {
      const metric = (version: number, over: Partial<MetricDefinition> = {}): MetricDefinition => ({
        name: "clicks",
        version,
        formula: { kind: "event-count" },
        ...over,
      })

      /** The version that was registered last. */
      const register = async (...definitions: ReadonlyArray<MetricDefinition>) =>
        (await run(readModel.register(definitions))).at(-1)!
      const statesOf = async () => (await run(readModel.measures)).map(({ id, state, group }) => [id, state, group])
      /** Another owner of the default group, and so another epoch. */
      const claimAnew = () => epochs.clear()

      test("are registered once, with definitions that come back as they went in, and live at once while nothing is projected", async () => {
        // A claim alone projects nothing.
        await run(readModel.claim(LIVE_GROUP, 0, "one"))
        const odd = metric(1, { description: TEXTS.join(), filter: { events: [...TEXTS.slice(2)] } })
        const first = await run(readModel.register([odd, BUILTIN_METRICS.sessions]))
        expect(first.map(({ state, group }) => [state, group])).toEqual([
          ["live", LIVE_GROUP],
          ["live", LIVE_GROUP],
        ])
        deepStrictEqual(
          first.map(({ definition }) => definition),
          [odd, BUILTIN_METRICS.sessions],
        )
        expect(await run(readModel.register([metric(1), BUILTIN_METRICS.sessions]))).toEqual(first)
        expect(await run(readModel.measures)).toEqual(first)
        const [sessions, next] = await run(readModel.register([metric(2)]))
        expect([sessions!.definition.name, next!.definition.version, next!.state]).toEqual(["sessions", 2, "live"])
      })

      test("are built by a group of their own once something is projected, those that came together by one", async () => {
        const old = await register(metric(1))
        await commit(stepOf(1))
        const [, next, sessions] = await run(readModel.register([metric(2), BUILTIN_METRICS.sessions]))
        expect(next!.group).not.toBe(LIVE_GROUP)
        expect(sessions!.group).toBe(next!.group)
        const other = await register(BUILTIN_METRICS.activeUsers)
        expect([LIVE_GROUP, next!.group]).not.toContain(other.group)
        expect(await statesOf()).toEqual([
          [old.id, "live", LIVE_GROUP],
          [next!.id, "building", next!.group],
          [sessions!.id, "building", next!.group],
          [other.id, "building", other.group],
        ])
        // The version in between will never be live.
        const last = await register(metric(3))
        expect((await statesOf()).map(([id]) => id)).toEqual([old.id, sessions!.id, other.id, last.id])
      })

      test("go live in place of their earlier versions, and their own checkpoints end", async () => {
        const [old, sessions] = await run(readModel.register([metric(1), BUILTIN_METRICS.sessions]))
        await commit(stepOf(1))
        const next = await register(metric(2))
        await commit(stepOf(1, { group: next.group }))
        await countAll(next.group)
        expect(await run(readModel.promote(next.group))).toBe(true)
        const states = await statesOf()
        expect(states).toEqual([
          [sessions!.id, "live", LIVE_GROUP],
          [next.id, "live", LIVE_GROUP],
        ])
        expect(states.map(([id]) => id)).not.toContain(old!.id)
        expect(await run(readModel.checkpoint(next.group, 0))).toBeNull()
        expect((await run(readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
        // Once is enough; twice is no harm.
        await run(readModel.promote(next.group))
        expect(await statesOf()).toEqual(states)
      })

      test("go live only where the default group stands, in every partition", async () => {
        await register(metric(1))
        await commit(stepOf(1))
        await commit(stepOf(1, { partition: 1 }))
        const { group } = await register(metric(2))
        claimAnew()
        const refused = async () => {
          const before = await run(dump)
          expect(await run(readModel.promote(group))).toBe(false)
          expect(await run(dump)).toEqual(before)
        }
        await refused()
        await commit(stepOf(1, { group }))
        await refused()
        await run(readModel.claim(group, 1, "one"))
        await refused()
        await commit(stepOf(1, { group, partition: 1 }))
        await commit(stepOf(2))
        await refused()
        await commit(stepOf(2, { group }))
        // Persons whose facts were only gathered so far must be counted.
        await refused()
        await countAll(group)
        // A partition of which nothing is projected keeps nobody waiting.
        await run(readModel.claim(LIVE_GROUP, 2, "one"))
        expect(await run(readModel.promote(group))).toBe(true)
      })

      test("that are to be built or go live make owners of the default group claim anew, in every partition", async () => {
        await register(metric(1))
        for (const partition of [0, 1]) await commit(stepOf(1, { partition }))
        const refused = async () => {
          for (const partition of [0, 1]) {
            const error = await failureOf(committing(stepOf(2, { partition })))
            expect(error).toMatchObject({ _tag: "CheckpointConflict", partition })
          }
        }
        const { group } = await register(metric(2))
        await refused()
        claimAnew()
        for (const partition of [0, 1]) await commit(stepOf(1, { group, partition }))
        await commit(stepOf(2, { partition: 0 }))
        await commit(stepOf(2, { group, partition: 0 }))
        await countAll(group)
        expect(await run(readModel.promote(group))).toBe(true)
        const error = await failureOf(committing(stepOf(3)))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", partition: 0 })
        claimAnew()
        await commit(stepOf(3))
      })

      test("go live with cells that were never revised, since nobody saw them before", async () => {
        const live = await register(metric(1))
        await commit(cellStep(1, [["", "events", "1"]], { measures: [live.id] }))
        const next = await register(metric(2))
        claimAnew()
        await commit(
          cellStep(1, [["", "events", "1"]], { group: next.group, measures: [next.id], revises: () => false }),
        )
        // The default group goes on, and changes what is built as well: persons turned out to be others.
        const { changes } = cellStep(2, [["", "events", "1"]])
        const both = { ...changes, measures: [...changes.measures, ...changes.measures] }
        await commit(stepOf(2, { measures: [live.id, next.id], changes: both, revises: (id) => id === live.id }))
        await commit(stepOf(2, { group: next.group, measures: [next.id] }))
        await countAll(next.group)
        expect(await run(readModel.promote(next.group))).toBe(true)
        const [cell] = await run(queries.cells(next.id, RANGE))
        expect(cell).toMatchObject({ amount: "2", revisedAt: null, revisionCause: null })
        const [other] = await run(queries.cells(live.id, RANGE))
        expect(other).toMatchObject({ amount: "2", revisedAt: checkpoint(2).logTime })
      })
    })

    test("wiping empties everything and notes the settings that hold next", async () => {
      await run(readModel.register([BUILTIN_METRICS.sessions]))
      await identitiesOf(["u:ann", "u:bob"])
      await commit(
        cellStep(1, [["", "users", "1"]], {
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(1, 1, ["id"], () => true)],
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
      await run(emptied(readModel, settings))
      expect(await run(readModel.settings)).toEqual(settings)
      const { settings: kept, ...others } = await run(dump)
      expect(kept!.length).toBe(1)
      expect(Object.values(others).flat()).toEqual([])
      epochs.clear()
      // Keys and ids begin anew, so that a rebuild gives the same rows again.
      expect((await run(readModel.register([BUILTIN_METRICS.sessions])))[0]!.id).toBe(1)
      expect((await identitiesOf(["u:ann"])).newKeys).toEqual([1])
    })

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
        expect(await run(readModel.settings)).toBeNull()
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
        expect((await run(queries.cells(1, RANGE, { stats: ["sum:\\"] }))).length).toBe(1)
      })

      test("a cell that rises to zero is gone", async () => {
        await commit(cellStep(1, [["", "sum", "-1.5"]]))
        await commit(cellStep(2, [["", "sum", "1.5"]]))
        expect(await amountsOf()).toEqual(new Map())
      })

      // Two processes at the very beginning: what the one folds lacks the metric that the other has registered as live.
      test("an owner from before a metric that is live at once cannot commit steps without it", async () => {
        await run(readModel.register([BUILTIN_METRICS.sessions]))
        const { epoch } = await run(readModel.claim(LIVE_GROUP, 0, "one"))
        const live = await run(readModel.register([BUILTIN_METRICS.activeUsers]))
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

    test("what the database refuses is told as what was attempted and why", async () => {
      const sql = await run(SqlClient.SqlClient)
      await run(sql`ALTER TABLE checkpoints RENAME TO elsewhere`)
      try {
        const error = await failureOf(readModel.checkpoint(LIVE_GROUP, 0))
        expect(error.message).toBe('Could not read a checkpoint: relation "checkpoints" does not exist.')
        expect(error.retryable).toBe(false)
      } finally {
        await run(sql`ALTER TABLE elsewhere RENAME TO checkpoints`)
      }
    })
  })
}
