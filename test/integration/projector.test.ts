import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { Cause, Clock, Context, Effect, Exit, Layer, ManagedRuntime, Result, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { readControl, record, recordDefinitions, recordSettings } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector, type ProjectOptions } from "../../src/app/projection/Projector.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { attributedTo } from "../../src/domain/identity/distinctId.ts"
import { decodeBatch, encodeBatch } from "../../src/domain/log/batch.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { partitionOf } from "../../src/domain/log/partition.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { oracle, type OracleInput } from "../../src/domain/oracle/oracle.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../src/domain/settings.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { layerPglite } from "../../src/infra/embedded/PgliteClient.ts"
import { openSqliteLog, type SqliteLog } from "../../src/infra/embedded/SqliteLog.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { fromStorable } from "../../src/infra/sql/storableText.ts"
import { arbHistory } from "../support/arbitraries/histories.ts"
import { arbMetrics } from "../support/arbitraries/metrics.ts"
import { cellTexts } from "../support/MemoryReadModel.ts"
import { emptied } from "../support/emptied.ts"
import { readBuilds, readTables } from "../support/readTables.ts"
import { workOnce } from "../simulation/processes.ts"

// Opening Postgres takes seconds, and so do some dozens of histories.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 })

/** Random histories, each through the whole pipeline, with a rebuild. */
const RUNS = 15

/** Those with builds that come and go, which take longer. */
const BUILDING_RUNS = 8

const HOUR = 3_600_000
const DAY = 24 * HOUR

const root = mkdtempSync(join(tmpdir(), "tidemark-projector-"))
let made = 0
const newDirectory = (): string => join(root, String(made++))

/** Postgres is opened once; each test wipes it and brings a log of its own. */
let runtime: ManagedRuntime.ManagedRuntime<ReadModel | SqlClient.SqlClient, unknown>

beforeAll(async () => {
  runtime = ManagedRuntime.make(layerSqlReadModel.pipe(Layer.provideMerge(layerPglite(join(root, "postgres")))))
  await runtime.runPromise(ReadModel)
})

afterAll(async () => {
  await runtime.dispose()
  rmSync(root, { recursive: true, force: true })
})

class LogFile extends Context.Service<LogFile, SqliteLog>()("test/LogFile") {}

type Store = EventLog | LogFile | LogWriter | Projector | ReadModel | SqlClient.SqlClient

/** The pipeline over the log in a directory, and the Postgres that all tests share. */
const openStore = (directory: string, partitions: number) =>
  Layer.merge(Projector.layer, LogWriter.layer).pipe(
    Layer.provideMerge(
      Layer.effectContext(
        Effect.map(openSqliteLog(directory, { partitions }), (file) =>
          Context.make(EventLog, file.log).pipe(Context.add(LogFile, file)),
        ),
      ),
    ),
  )

/** Runs a story in a new store, under a clock that stands still unless it is told otherwise. */
const inStore = <A, E>(story: Effect.Effect<A, E, Store | Scope.Scope>, partitions = 1): Promise<A> =>
  runtime.runPromise(
    Effect.gen(function* () {
      const directory = newDirectory()
      mkdirSync(directory)
      const readModel = yield* ReadModel
      yield* emptied(readModel, DEFAULT_SETTINGS)
      return yield* story.pipe(Effect.provide(openStore(directory, partitions)))
    }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
  )

/** What was appended, as the oracle is told of it. */
const append = Effect.fnUntraced(function* (events: ReadonlyArray<Event>, input: Array<OracleInput>) {
  const writer = yield* LogWriter
  const { partitions } = yield* EventLog
  const loggedAt = yield* Clock.currentTimeMillis
  yield* writer.append(events)
  for (const event of events) {
    input.push({ event, partition: partitionOf(attributedTo(event) ?? event.id, partitions), loggedAt })
  }
})

const project = (options?: ProjectOptions) => Effect.flatMap(Projector, (projector) => projector.project(options))

type CellsByMetric = ReadonlyMap<string, ReadonlyMap<string, string>>

const readCells = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{
    readonly metric: string
    readonly day: string
    readonly item: string
    readonly stat: string
    readonly amount: string
  }>`SELECT metric, day::text AS day, item, stat, trim_scale(amount)::text AS amount FROM live_cells WHERE amount <> 0`
  const cells = new Map<string, Map<string, string>>()
  for (const { metric, day, item, stat, amount } of rows) {
    const ofMetric = cells.get(metric) ?? new Map<string, string>()
    ofMetric.set(`${day}|${fromStorable(item)}|${fromStorable(stat)}`, amount)
    cells.set(metric, ofMetric)
  }
  return cells
})

/** As {@link readCells} gives them: metrics without cells are absent. */
const expectedCells = (
  input: ReadonlyArray<OracleInput>,
  settings: Settings,
  metrics: ReadonlyArray<MetricDefinition>,
): CellsByMetric =>
  new Map(
    [...oracle(input, settings, metrics).cells]
      .filter(([, cells]) => cells.size > 0)
      .map(([metric, cells]) => [metric, cellTexts(cells)]),
  )

const plain = (cells: CellsByMetric) =>
  Object.fromEntries([...cells].map(([metric, ofMetric]) => [metric, Object.fromEntries(ofMetric)]))

const expectCells = (actual: CellsByMetric, expected: CellsByMetric): void =>
  expect(plain(actual)).toEqual(plain(expected))

const BUILTIN: ReadonlyArray<MetricDefinition> = Object.values(BUILTIN_METRICS)

let nextId = 0
const event = (over: Partial<Event>): Event => ({
  id: `id-${nextId++}`,
  kind: "track",
  name: "click",
  userId: "ann",
  anonymousId: null,
  sessionId: null,
  time: Date.parse("2024-03-01T12:00:00Z"),
  timestamp: null,
  sentAt: null,
  receivedAt: null,
  warnings: [],
  body: {},
  ...over,
})

/** Users whose events lie in one partition of a log of two. */
const usersIn = (partition: number): ReadonlyArray<string> =>
  Array.from({ length: 50 }, (_, n) => `user-${n}`).filter((user) => partitionOf(`u:${user}`, 2) === partition)

describe("the projector", () => {
  test("random histories give the oracle's cells after every step, and a rebuild gives the same rows again", async () => {
    const arb = fc.record({
      history: arbHistory({ conflicts: true, maxLength: 60 }),
      metrics: arbMetrics,
      partitions: fc.constantFrom(1, 2, 5),
      chunks: fc.array(
        fc.record({
          events: fc.integer({ min: 1, max: 12 }),
          pause: fc.constantFrom(0, 1, HOUR, 8 * DAY),
          projects: fc.boolean(),
        }),
        { minLength: 1, maxLength: 8 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(arb, async ({ history, metrics, partitions, chunks }) => {
        await inStore(
          Effect.gen(function* () {
            const { events, settings } = history
            const input: Array<OracleInput> = []
            const known = [...BUILTIN]
            yield* recordSettings(settings)
            let from = 0
            for (let n = 0; from < events.length; n++) {
              const chunk = chunks[n % chunks.length]!
              yield* TestClock.adjust(chunk.pause + 1)
              yield* append(events.slice(from, from + chunk.events), input)
              from += chunk.events
              // Metrics come one after another, so that most are built over history that is there already.
              const metric = metrics[n]
              if (metric !== undefined) {
                yield* recordDefinitions([metric])
                known.push(metric)
              }
              if (!chunk.projects && from < events.length) continue
              yield* project()
              expectCells(yield* readCells, expectedCells(input, settings, known))
            }
            const before = yield* readTables
            const projector = yield* Projector
            const rebuilt = yield* projector.rebuild()
            expect(rebuilt.events).toBe(events.length)
            expect(yield* readTables).toEqual(before)
            expect(yield* project()).toMatchObject({ events: 0, built: [], rebuilt: false })
          }),
          partitions,
        )
      }),
      { numRuns: RUNS },
    )
  })

  test("builds that come and go while events arrive hold what a projection from scratch comes to", async () => {
    const arb = fc.record({
      history: arbHistory({ conflicts: true, maxLength: 60 }),
      metrics: arbMetrics,
      partitions: fc.constantFrom(1, 2),
      seed: fc.nat(),
    })
    let builds = 0
    let metWhileBuilding = 0
    await fc.assert(
      fc.asyncProperty(arb, async ({ history, metrics, partitions, seed }) => {
        await inStore(
          Effect.gen(function* () {
            const { events, settings } = history
            const readModel = yield* ReadModel
            const random = new Random(seed)
            const names = metrics.map(({ name }) => name).slice(0, 3)
            yield* recordSettings(settings)
            yield* recordDefinitions(metrics.slice(0, 3))
            for (let from = 0, version = 1; from < events.length; from += 8) {
              yield* TestClock.adjust(1)
              yield* append(events.slice(from, from + 8), [])
              // Of one metric there is a version that counts otherwise, waiting for somebody to ask for it.
              const name = random.oneOf(names)
              const other = { ...random.oneOf(metrics), name, version: ++version }
              const decided = { metric: name, version: random.between(1, version), build: null, by: null, why: null }
              if (random.chance(0.5)) {
                const body = { definition: other, promote: "when-asked" as const, by: null, why: null }
                yield* record([{ name: "metric_applied", body }])
              } else {
                yield* record([{ name: random.oneOf(["metric_promoted", "metric_dropped"] as const), body: decided }])
              }
              // Whoever turns out to be whom in these steps does so in the middle of some builds.
              for (let n = random.between(0, 12); n > 0; n--) {
                yield* workOnce("worker", random, true)
                const building = (yield* readModel.measures).filter(({ state }) => state === "building")
                if (building.length > 0) metWhileBuilding++
              }
            }
            yield* project()
            const before = yield* readBuilds
            yield* Effect.flatMap(Projector, (projector) => projector.rebuild())
            const scratch = new Map((yield* readBuilds).map(({ name, rows }) => [name, rows]))
            expect(new Set(before.map(({ name }) => name))).toEqual(new Set(scratch.keys()))
            for (const { name, rows } of before) expect(rows).toEqual(scratch.get(name))
            builds += before.length
          }),
          partitions,
        )
      }),
      { numRuns: BUILDING_RUNS },
    )
    expect(builds).toBeGreaterThan(BUILDING_RUNS * BUILTIN.length)
    expect(metWhileBuilding).toBeGreaterThan(BUILDING_RUNS)
  })

  const clicks: MetricDefinition = {
    name: "clicks",
    version: 1,
    filter: { events: ["click"] },
    formula: { kind: "active-users" },
  }

  const signUps: MetricDefinition = {
    name: "sign_ups",
    version: 1,
    formula: { kind: "funnel", steps: [{ event: "page_view" }, { event: "click" }] },
  }

  test("a definition that comes later is built over all history, and goes on from there", () =>
    inStore(
      Effect.gen(function* () {
        const input: Array<OracleInput> = []
        const device = { userId: null, anonymousId: "d1" }
        yield* append(
          [event({ ...device, name: "page_view" }), event({}), event({ id: "twice" }), event({ id: "twice" })],
          input,
        )
        yield* project()
        yield* recordDefinitions([clicks])
        yield* recordDefinitions([signUps])
        expect((yield* project()).built.toSorted()).toEqual(["clicks@1", "sign_ups@1"])
        expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks, signUps]))
        yield* append([event({ anonymousId: "d1", time: Date.parse("2024-03-02T00:00:00Z") })], input)
        expect(yield* project()).toMatchObject({ events: 1, built: [] })
        expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks, signUps]))
        const next: MetricDefinition = { ...clicks, version: 2, filter: { events: ["page_view"] } }
        yield* recordDefinitions([next])
        expect((yield* project()).built).toEqual(["clicks@2"])
        expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, next, signUps]))
      }),
    ))

  test("other settings make everything anew", () =>
    inStore(
      Effect.gen(function* () {
        const input: Array<OracleInput> = []
        yield* append([event({ time: Date.parse("2024-03-01T23:30:00Z") })], input)
        yield* project()
        const settings: Settings = { ...DEFAULT_SETTINGS, timeZone: "Europe/Berlin" }
        yield* recordSettings(settings)
        expect(yield* project()).toMatchObject({ events: 1, rebuilt: true })
        const cells = yield* readCells
        expectCells(cells, expectedCells(input, settings, BUILTIN))
        expect([...cells.get("active_users")!.keys()].sort()).toEqual([
          "2024-03-02||events",
          "2024-03-02||new",
          "2024-03-02||users",
        ])
      }),
    ))

  test("two who change different settings at once both get their way", () =>
    inStore(
      Effect.gen(function* () {
        yield* recordSettings({ weekStart: "sunday" })
        yield* recordSettings({ timeZone: "Asia/Tokyo" })
        expect((yield* readControl).settings).toEqual({
          ...DEFAULT_SETTINGS,
          weekStart: "sunday",
          timeZone: "Asia/Tokyo",
        })
      }),
    ))

  test("duplicate-delivery: what was appended twice counts once", () =>
    inStore(
      Effect.gen(function* () {
        const input: Array<OracleInput> = []
        const events = [event({}), event({ name: "page_view" }), event({ userId: "bob" })]
        yield* append(events, input)
        yield* project()
        const before = yield* readCells
        yield* append(events, input)
        yield* append([{ ...events[0]!, body: { other: true } }], input)
        expect(yield* project()).toMatchObject({ events: 4, duplicates: 4, conflicts: 1 })
        expectCells(yield* readCells, before)
      }),
    ))

  test("late-equals-on-time: a published cell that changes says so", () =>
    inStore(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const revised = Effect.map(
          sql<{ day: string; cause: string | null }>`SELECT day::text AS day, revision_cause AS cause FROM live_cells
            WHERE metric = 'active_users' AND stat = 'events' ORDER BY day`,
          (rows) => rows.map(({ day, cause }) => `${day} ${cause}`),
        )
        yield* append([event({}), event({ time: Date.parse("2024-03-02T12:00:00Z") })], [])
        yield* project()
        expect(yield* revised).toEqual(["2024-03-01 null", "2024-03-02 null"])
        yield* append([event({})], [])
        yield* project()
        expect(yield* revised).toEqual(["2024-03-01 late-data", "2024-03-02 null"])
      }),
    ))

  describe("a log that is not what the read model knows", () => {
    /** Three batches projected, and two more that are not. */
    const fiveBatches = Effect.gen(function* () {
      for (let n = 0; n < 3; n++) yield* append([event({})], [])
      yield* project()
      for (let n = 0; n < 2; n++) yield* append([event({})], [])
      return { before: yield* readTables, database: (yield* LogFile).database }
    })

    const changed = (change: (database: SqliteLog["database"], incarnation: string) => void) =>
      inStore(
        Effect.gen(function* () {
          const { before, database } = yield* fiveBatches
          const { incarnation } = yield* EventLog
          change(database, incarnation)
          const error = yield* Effect.flip(project())
          expect(yield* readTables).toEqual(before)
          return { error, incarnation }
        }),
      )

    test("another batch at the checkpoint: PositionDiverged, which says what is there", async () => {
      const { error, incarnation } = await changed((database) =>
        database.exec("UPDATE records SET batch_id = 'stranger.0.3' WHERE partition = 0 AND sequence = 3"),
      )
      expect(error).toMatchObject({
        _tag: "PositionDiverged",
        saved: { partition: 0, sequence: 3, batchId: `${incarnation}.0.3`, incarnation },
        found: "batch stranger.0.3",
      })
      expect(error.message).toContain("stands at 0/3")
    })

    test("no batch at the checkpoint: PositionDiverged", async () => {
      const { error } = await changed((database) =>
        database.exec("DELETE FROM records WHERE partition = 0 AND sequence >= 3"),
      )
      expect(error).toMatchObject({ _tag: "PositionDiverged", found: "no batch" })
    })

    test("a record missing after the checkpoint: LogDamaged, which names it", async () => {
      const { error } = await changed((database) =>
        database.exec("DELETE FROM records WHERE partition = 0 AND sequence = 4"),
      )
      expect(error).toMatchObject({
        _tag: "LogDamaged",
        partition: 0,
        sequence: 4,
        problem: "record 4 is missing",
      })
    })

    test("a damaged record after the checkpoint: LogDamaged, which says where", async () => {
      const { error } = await changed((database) =>
        database.prepare("UPDATE records SET zstd = ? WHERE sequence = 5").run(Buffer.from("damaged")),
      )
      expect(error).toMatchObject({ _tag: "LogDamaged", partition: 0, sequence: 5 })
    })

    test("a record missing in the middle of what is rebuilt: LogDamaged", () =>
      inStore(
        Effect.gen(function* () {
          const { database } = yield* fiveBatches
          database.exec("DELETE FROM records WHERE partition = 0 AND sequence = 2")
          const projector = yield* Projector
          expect(yield* Effect.flip(projector.rebuild())).toMatchObject({
            _tag: "LogDamaged",
            sequence: 2,
            problem: "record 2 is missing",
          })
        }),
      ))

    // A log that was put back gives the same numbers again, hence the same batch ids, to other events.
    test("another content under the same batch id at the checkpoint is PositionDiverged", async () => {
      await inStore(
        Effect.gen(function* () {
          for (let n = 0; n < 3; n++) yield* append([event({})], [])
          yield* project()
          const { database } = yield* LogFile
          const { incarnation } = yield* EventLog
          const old = database.prepare("SELECT zstd FROM records WHERE sequence = 2").get() as { zstd: Uint8Array }
          const previous = Result.getOrThrow(decodeBatch(zstdDecompressSync(old.zstd))).sum
          const origin = { writer: incarnation, number: 3, previous, partition: 0, loggedAt: 1 }
          const other = encodeBatch(origin, [event({ userId: "somebody else" })])
          database
            .prepare("UPDATE records SET zstd = ?, size = ? WHERE sequence = 3")
            .run(zstdCompressSync(other.bytes), other.bytes.length)
          expect((yield* Effect.flip(project()))._tag).toBe("PositionDiverged")
        }),
      )
    })

    test("without its last control fact is PositionDiverged, since the settings may have stood there", () =>
      inStore(
        Effect.gen(function* () {
          yield* append([event({})], [])
          yield* recordDefinitions([clicks])
          yield* project()
          const { database } = yield* LogFile
          database.exec("DELETE FROM records WHERE partition = -1")
          expect(yield* Effect.flip(project())).toMatchObject({ _tag: "PositionDiverged", found: "no batch" })
        }),
      ))
  })

  describe("a build that was cut off", () => {
    const [first, second] = usersIn(0) as [string, string]
    const [other] = usersIn(1) as [string]

    /** Stops the projector as a crash would, when it has folded so many events into what it builds. */
    const crashAfter = (events: number) =>
      Effect.gen(function* () {
        const onBuilding = (folded: number): void => {
          if (folded > events) throw new Error("crash")
        }
        const exit = yield* Effect.exit(project({ onBuilding }))
        if (Exit.isSuccess(exit)) throw new Error("it did not crash")
        expect(Cause.pretty(exit.cause)).toContain("crash")
      })

    /** A history in both partitions, and a build of which only the first partition was committed. */
    const cutOff = (input: Array<OracleInput>) =>
      Effect.gen(function* () {
        yield* append([event({ userId: first }), event({ userId: second }), event({ userId: other })], input)
        yield* project()
        yield* recordDefinitions([clicks])
        const inFirst = input.filter(({ partition }) => partition === 0).length
        yield* crashAfter(inFirst)
      })

    test("goes on from what was committed", () =>
      inStore(
        Effect.gen(function* () {
          const input: Array<OracleInput> = []
          yield* cutOff(input)
          // What the first partition holds is there already.
          const progress: Array<readonly [number, number]> = []
          const onBuilding = (folded: number, total: number) => void progress.push([folded, total])
          expect((yield* project({ onBuilding })).built).toEqual(["clicks@1"])
          expect(input.filter(({ partition }) => partition === 1)).toHaveLength(1)
          expect(progress).toEqual([[input.length, input.length]])
          expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks]))
        }),
        2,
      ))

    test("is right when persons were joined before it went on", () =>
      inStore(
        Effect.gen(function* () {
          const input: Array<OracleInput> = []
          yield* cutOff(input)
          yield* append([event({ kind: "alias", name: "alias", userId: first, body: { previousId: second } })], input)
          yield* project()
          expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks]))
        }),
        2,
      ))

    test("is right when a device got an owner, and then another, before it went on", () =>
      inStore(
        Effect.gen(function* () {
          const input: Array<OracleInput> = []
          const [device] = Array.from({ length: 50 }, (_, n) => `device-${n}`).filter(
            (id) => partitionOf(`a:${id}`, 2) === 0,
          ) as [string]
          const { time } = event({})
          // Inside the merge window of the links to come, at its border, and before it.
          const days = [1, 25, 26, 30, 31, 70]
          const visits = days.map((before) => event({ userId: null, anonymousId: device, time: time - before * DAY }))
          yield* append(visits, input)
          yield* cutOff(input)
          yield* append([event({ userId: first, anonymousId: device })], input)
          yield* crashAfter(1)
          yield* append([event({ userId: other, anonymousId: device, time: time - 5 * DAY })], input)
          expect((yield* project()).built).toEqual(["clicks@1"])
          expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks]))
        }),
        2,
      ))

    test("is right when another definition came before it went on", () =>
      inStore(
        Effect.gen(function* () {
          const input: Array<OracleInput> = []
          yield* cutOff(input)
          yield* recordDefinitions([signUps])
          yield* project()
          expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, [...BUILTIN, clicks, signUps]))
        }),
        2,
      ))
  })
})

describe("an embedded store", () => {
  test("is the same when it is opened again, and belongs to one at a time", async () => {
    const directory = newDirectory()
    const open = <A, E>(story: Effect.Effect<A, E, EventLog | LogWriter | Projector | SqlClient.SqlClient>) =>
      Effect.runPromise(
        story.pipe(Effect.provide(Layer.merge(layerEmbedded({ directory, partitions: 2 }), TestClock.layer()))),
      )
    const input: Array<OracleInput> = []
    const first = await open(
      Effect.gen(function* () {
        yield* append([event({}), event({ userId: "bob" }), event({ userId: null, anonymousId: "d1" })], input)
        yield* project()
        const busy = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(layerEmbedded({ directory })))))
        expect(busy).toMatchObject({ _tag: "StoreInUse", directory })
        return yield* readTables
      }),
    )
    await open(
      Effect.gen(function* () {
        expect(yield* readTables).toEqual(first)
        expect(yield* project()).toMatchObject({ events: 0, rebuilt: false })
        yield* append([event({ anonymousId: "d1" })], input)
        expect(yield* project()).toMatchObject({ events: 1 })
        expectCells(yield* readCells, expectedCells(input, DEFAULT_SETTINGS, BUILTIN))
      }),
    )
  })
})
