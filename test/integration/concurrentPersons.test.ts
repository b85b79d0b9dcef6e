import { Effect, Layer, ManagedRuntime, Redacted, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { countAllPersons } from "../../src/app/projection/countPersons.ts"
import { PersonCount } from "../../src/domain/projection/PersonCount.ts"
import { liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition, type PartitionProjection } from "../../src/app/projection/PartitionProjection.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { verify } from "../../src/app/verify/verify.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import type { EventLog } from "../../src/domain/log/EventLog.ts"
import { partitionOf } from "../../src/domain/log/partition.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { oracle } from "../../src/domain/oracle/oracle.ts"
import { CellSums } from "../../src/domain/projection/CellSums.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../src/infra/sql/SqlReadModelQueries.ts"
import { layerArrayLog } from "../support/arrayLog.ts"
import { eventually } from "../support/eventually.ts"
import { eventOf, meeting } from "../support/meetings.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { emptied } from "../support/emptied.ts"

// 25 s on a quiet machine.
vi.setConfig({ testTimeout: 300_000 })

const PARTITIONS = 4
/** Meetings in all, each a random case of its own. */
const MEETINGS = 2000
/** Meetings in one read model before it is emptied. */
const MEETINGS_TOGETHER = 40
/** Meetings that are appended at once; when the projectors have caught up, all is quiet and the next come. */
const MEETINGS_A_ROUND = 5
/** Rounds after which the oracle looks, which takes everybody to be counted: the later, the longer only some are. */
const ROUNDS_OF_LOOKS: ReadonlyArray<ReadonlyArray<number>> = [[4, 8], [8]]

/** Another seed with each run; the one of a failure goes into TIDEMARK_TEST_SEED. */
const SEED = Number(process.env["TIDEMARK_TEST_SEED"] ?? Date.now() % 1_000_000)

const METRICS: ReadonlyArray<MetricDefinition> = [
  ...Object.values(BUILTIN_METRICS),
  {
    name: "to_purchase",
    version: 1,
    formula: {
      kind: "funnel",
      steps: [{ event: "page_view" }, { event: "click" }, { event: "purchase" }],
      window: "none",
    },
  },
]

/** One projector process: connections of its own. */
type Process = ManagedRuntime.ManagedRuntime<ReadModel | ReadModelQueries | SqlClient.SqlClient, unknown>

let server: PostgresServer
let processes: ReadonlyArray<Process>

const startProcess = (): Process =>
  ManagedRuntime.make(
    layerSqlReadModelQueries.pipe(
      Layer.provideMerge(layerSqlReadModel),
      Layer.provideMerge(layerPostgres({ url: Redacted.make(server.url()), poolSize: 2 })),
    ),
  )

beforeAll(async () => {
  // Deadlocks are found at once, so that a case with one takes no second; the disk has no part in any of this.
  server = await startPostgres({
    fsync: false,
    settings: { deadlock_timeout: "20ms", synchronous_commit: "off", autovacuum: "off", full_page_writes: "off" },
  })
  processes = Array.from({ length: PARTITIONS }, startProcess)
  for (const process of processes) await process.runPromise(ReadModel)
})

afterAll(async () => {
  await Promise.all(processes.map((process) => process.dispose()))
  await server.dispose()
})

/** What happened on the way. */
interface Tally {
  steps: number
  retries: number
  /** Transactions that counted persons beside steps. */
  counts: number
  readonly reasons: Map<string, number>
  thefts: number
}

/** A partition's projector as it works: what it has claimed, if anything. */
interface Worker {
  readonly partition: number
  projection: PartitionProjection | null
}

const newReadModel = Effect.gen(function* () {
  const readModel = yield* ReadModel
  yield* emptied(readModel, DEFAULT_SETTINGS)
  return liveGroup(yield* readModel.register(METRICS), TimeZone.utc)
})

type Group = Effect.Success<typeof newReadModel>

const claim = (group: Group, partition: number, owner: string) =>
  claimPartition(group, partition, DEFAULT_SETTINGS, owner)

/** Takes a partition to the end of its log in steps of one to five events; what may be tried again is. */
const catchUp = Effect.fnUntraced(function* (worker: Worker, group: Group, random: Random, tally: Tally) {
  for (;;) {
    const projection = (worker.projection ??= yield* claim(group, worker.partition, "owner"))
    const done = yield* Effect.gen(function* () {
      let stepEvents = random.between(1, 5)
      const after = projection.checkpoint()?.position.sequence ?? 0
      yield* readBatches(worker.partition, { after, chain: projection.chain }).pipe(
        Stream.runForEach((opened) =>
          Effect.gen(function* () {
            yield* projection.take(opened)
            if (projection.pending() < stepEvents) return
            yield* projection.commit()
            tally.steps++
            stepEvents = random.between(1, 5)
          }),
        ),
      )
      if (projection.pending() > 0) tally.steps++
      yield* projection.commit()
      return true
    }).pipe(
      Effect.catchIf(
        (error) => error._tag === "CheckpointConflict" || (error._tag === "ReadModelUnavailable" && error.retryable),
        (error) =>
          Effect.sync(() => {
            worker.projection = null
            tally.retries++
            const reason = error._tag === "ReadModelUnavailable" ? error.reason : error._tag
            tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1)
            return false
          }),
      ),
    )
    if (done) return
  }
})

/** Another that believes it owns the partition: claims it, makes one step, and is gone. */
const steal = Effect.fnUntraced(function* (partition: number, group: Group, tally: Tally) {
  tally.thefts++
  const projection = yield* claim(group, partition, "thief")
  const after = projection.checkpoint()?.position.sequence ?? 0
  yield* readBatches(partition, { after, chain: projection.chain }).pipe(
    Stream.take(1),
    Stream.runForEach(projection.take),
  )
  yield* projection.commit().pipe(
    Effect.catchIf(
      (error) => error._tag === "CheckpointConflict" || error.retryable,
      () => Effect.void,
    ),
  )
})

/** Counts some persons, a few in each transaction, while steps are made. */
const countSome = Effect.fnUntraced(function* (random: Random, tally: Tally) {
  const readModel = yield* ReadModel
  for (let times = random.between(1, 4); times > 0; times--) {
    let portions = random.between(1, 3)
    const begin = () => new PersonCount(() => (--portions > 0 ? random.between(1, 3) : 0))
    if (yield* readModel.countNext(LIVE_GROUP, random.between(1, 3), begin)) return
    tally.counts++
  }
})

/** Counts everybody, so that the read model answers. */
const countWhole = Effect.gen(function* () {
  const readModel = yield* ReadModel
  yield* countAllPersons(LIVE_GROUP)
  yield* readModel.markWhole((yield* readModel.made)!)
})

/** The read model says what the oracle says, of cells and of persons, and its facts add up to its cells. */
const look = Effect.fnUntraced(function* (events: ReadonlyArray<Event>, group: Group) {
  const sql = yield* SqlClient.SqlClient
  const queries = yield* ReadModelQueries
  yield* countWhole
  const { differences } = yield* verify()
  expect(differences).toEqual([])

  const rows = yield* sql<{ readonly id: string; readonly person: string }>`
    SELECT d.distinct_id AS id, p.distinct_id AS person FROM distinct_ids d LEFT JOIN distinct_ids p ON p.key = d.person
    WHERE NOT d.older`
  const input = events.map((event) => ({ event, partition: 0, loggedAt: 0 }))
  const personOf = new Map([...oracle(input, DEFAULT_SETTINGS, []).personOf].filter(([id]) => !id.endsWith("#older")))
  expect(new Map(rows.map(({ id, person }) => [id, person]))).toEqual(personOf)

  for (const { id, measure } of group.measures) {
    const sums = new CellSums()
    for (const fact of (yield* queries.personFacts(id)).values()) measure.contribute(fact, sums.add)
    const contributed = sums.deltas().map(({ day, item, stat, amount }) => `${day}|${item}|${stat}|${amount}`)
    const stored = yield* queries.cells(id, { from: 0, to: 40_000 })
    const cells = new Set(stored.map(({ day, item, stat, amount }) => `${day}|${item}|${stat}|${amount}`))
    expect(contributed.filter((cell) => !cells.has(cell))).toEqual([])
  }
})

/** A new read model and a new log, with a projector for each partition. */
const openWorld = async () => {
  const group = await processes[0]!.runPromise(newReadModel)
  const log = await Effect.runPromise(
    Effect.scoped(Layer.build(Layer.provideMerge(LogWriter.layer, layerArrayLog(PARTITIONS)))),
  )
  const workers = processes.map((_, partition): Worker => ({ partition, projection: null }))
  const events: Array<Event> = []
  return {
    group,
    workers,
    /** Runs with the log in one of the processes. */
    run: <A, E>(
      process: number,
      effect: Effect.Effect<A, E, EventLog | ReadModel | ReadModelQueries | SqlClient.SqlClient>,
    ) => processes[process]!.runPromise(Effect.provideContext(effect, log)),
    append: async (more: ReadonlyArray<Event>) => {
      events.push(...more)
      await Effect.runPromise(
        Effect.provideContext(
          LogWriter.use((writer) => writer.append(more)),
          log,
        ),
      )
    },
    /** Asks the oracle; everything must be quiet. */
    look: () => processes[0]!.runPromise(Effect.provideContext(look(events, group), log)),
  }
}

/** Meetings one after another over one read model, all partitions at once, each in a process of its own. */
const meetTogether = async (random: Random, name: string, tally: Tally) => {
  const { group, workers, run, append, look } = await openWorld()
  const looks = random.oneOf(ROUNDS_OF_LOOKS)
  for (let round = 1; round <= MEETINGS_TOGETHER / MEETINGS_A_ROUND; round++) {
    for (let n = 0; n < MEETINGS_A_ROUND; n++) {
      const met = meeting(random, `${name}.${round}.${n}`)
      for (let from = 0; from < met.length;) {
        const size = random.between(1, 4)
        await append(met.slice(from, from + size))
        from += size
      }
    }
    // Not in the first, in which there is nobody to be counted yet.
    const counter = round === 1 ? null : random.between(0, PARTITIONS - 1)
    const thief = random.chance(0.2) ? random.between(0, PARTITIONS - 1) : null
    await Promise.all([
      ...workers.map((worker) => run(worker.partition, catchUp(worker, group, random, tally))),
      ...(counter === null ? [] : [run(counter, countSome(random, tally))]),
      ...(thief === null ? [] : [run((thief + 1) % PARTITIONS, steal(thief, group, tally))]),
    ])
    if (looks.includes(round)) await look()
  }
}

describe("partitions that touch the same persons at once", () => {
  test(`${MEETINGS} random meetings end with the oracle's cells and persons (seed ${SEED})`, async () => {
    const random = new Random(SEED)
    const tally: Tally = { steps: 0, retries: 0, counts: 0, thefts: 0, reasons: new Map() }
    const began = performance.now()
    for (let met = 0; met < MEETINGS; met += MEETINGS_TOGETHER) await meetTogether(random, `m${met}`, tally)
    const seconds = (performance.now() - began) / 1000
    const [database] = await server.query(
      "SELECT deadlocks, xact_rollback FROM pg_stat_database WHERE datname = 'postgres'",
    )
    console.info(
      `${MEETINGS} meetings in ${seconds.toFixed(1)} s: ${tally.steps} steps (${Math.round(tally.steps / seconds)}/s), ` +
        `${tally.counts} counts, ${tally.thefts} thefts, ${database.deadlocks} deadlocks, ${database.xact_rollback} transactions rolled back, ` +
        `claimed anew for ${JSON.stringify([...tally.reasons])}`,
    )
    // They met, and none ever waited for one that waited for it.
    expect(Number(database.deadlocks)).toBe(0)
    expect(tally.counts).toBeGreaterThan(MEETINGS / 20)
    expect(Number(database.xact_rollback)).toBeGreaterThan(MEETINGS / 20)
  })
})

/** Where a step stands still until it is told to go on: with its persons locked and read, or with all worked out. */
const STOPS = ["locked", "settled"] as const

/** A user id whose events lie in a partition. */
const userIn = (partition: number, name: string): string => {
  for (let n = 0; ; n++) {
    const user = `${name}${n}`
    if (partitionOf(`u:${user}`, PARTITIONS) === partition) return user
  }
}

/** Users, each in the partition of its place: what a user does is in a step of its own. */
const [ann, bob, cid] = ["ann", "bob", "cid"].map((name, partition) => userIn(partition, name)) as [
  string,
  string,
  string,
]
const dan = userIn(3, "dan")

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOON = Date.parse("2024-06-15T12:00:00Z")

let nextId = 0
const click = (userId: string | null, anonymousId: string | null, time = NOON): Event =>
  eventOf({ id: `e${nextId++}`, kind: "track", name: "click", userId, anonymousId, time, body: {} })
const alias = (userId: string, previousId: string, time = NOON, kind: "alias" | "unalias" = "alias"): Event =>
  eventOf({ id: `e${nextId++}`, kind, name: kind, userId, time, body: { previousId } })

interface Story {
  readonly before: ReadonlyArray<Event>
  /** What happens at once, one list for each step, each in a partition of its own. */
  readonly steps: ReadonlyArray<ReadonlyArray<Event>>
}

const STORIES: Readonly<Record<string, () => Story>> = {
  "a device that is new to both gets two owners": () => ({
    before: [],
    steps: [[click(ann, "d", NOON)], [click(bob, "d", NOON - HOUR)], [click(cid, "d", NOON - HOUR)]],
  }),
  "a known device gets earlier owners, and its past is parted": () => ({
    before: [
      ...[0, -29 * DAY, -30 * DAY - 1, -31 * DAY, -45 * DAY].map((from) => click(null, "d", NOON + from)),
      click(ann, "d"),
    ],
    steps: [[click(ann, "d", NOON - HOUR)], [click(bob, "d", NOON - 2 * DAY)], [click(cid, "d", NOON - 20 * DAY)]],
  }),
  "users that are new to both are joined in a ring": () => ({
    before: [],
    steps: [[alias(ann, bob)], [alias(bob, cid)], [alias(cid, ann)]],
  }),
  "known persons are joined in a ring": () => ({
    before: [
      click(ann, "d1"),
      click(bob, "d2"),
      click(cid, "d3"),
      click(null, "d1"),
      click(null, "d2"),
      click(null, "d3"),
    ],
    steps: [[alias(ann, bob)], [alias(bob, cid)], [alias(cid, ann)]],
  }),
  "a chain is cut where it is made longer": () => ({
    before: [click(ann, "d1"), click(bob, "d2"), click(cid, "d3"), click(dan, "d4"), alias(ann, bob), alias(bob, cid)],
    steps: [[alias(ann, bob, NOON + 1, "unalias")], [alias(bob, cid, NOON + 1, "unalias")], [alias(cid, dan)]],
  }),
  "what joins two persons is taken back while one moves away": () => ({
    before: [click(ann, "d1"), click(bob, "d2"), click(cid, "d3"), alias(ann, bob), alias(cid, dan)],
    steps: [
      [alias(ann, bob, NOON + 1, "unalias"), alias(ann, dan)],
      [alias(bob, cid), click(bob, "d1", NOON - 1)],
      [alias(cid, dan, NOON + 1, "unalias"), click(cid, "d2", NOON - 2)],
    ],
  }),
  "both sides state the same pair at different times": () => ({
    before: [click(ann, null), click(bob, null)],
    steps: [[alias(ann, bob, NOON + 2)], [alias(bob, ann, NOON + 3, "unalias")], [click(cid, "d"), alias(cid, ann)]],
  }),
  "a new user is joined before its first event": () => ({
    before: [click(ann, "d1")],
    steps: [
      [alias(ann, bob), alias(ann, cid)],
      [click(bob, "d1", NOON - 1)],
      [click(cid, "d1", NOON - 2), click(cid, "d2")],
    ],
  }),
}

const orders = (n: number): ReadonlyArray<ReadonlyArray<number>> =>
  n === 0 ? [[]] : orders(n - 1).flatMap((order) => Array.from({ length: n }, (_, at) => order.toSpliced(at, 0, n - 1)))

/** While facts are only gathered, steps look at less than while they are counted. */
const COUNTED = ["nobody", "everybody"] as const

const cases = COUNTED.flatMap((counted) => STOPS.map((stop) => ({ counted, stop })))

describe.each(Object.entries(STORIES))("%s", (_, story) => {
  test.each(cases)("while one step stands still, $stop, and $counted is counted", async ({ counted, stop }) => {
    for (const order of orders(3)) {
      const { group, workers, run, append, look } = await openWorld()
      const { before, steps } = story()
      await append(before)
      for (const { partition } of workers) await run(partition, oneStep(partition, group, {}))
      if (counted === "everybody") await run(0, countWhole)
      for (const events of steps) await append(events)

      const [first, ...others] = order as [number, ...Array<number>]
      const reached = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const standing = run(
        first,
        oneStep(first, group, {
          [stop]: Effect.andThen(
            Effect.sync(reached.resolve),
            Effect.promise(() => goOn.promise),
          ),
        }),
      )
      await reached.promise
      let ended = 0
      const waiting: Array<Promise<void>> = []
      for (const partition of others) {
        waiting.push(run(partition, oneStep(partition, group, {})).finally(() => ended++))
        await eventually("the others wait for it, or are done", async () => {
          const [{ waits }] = (await server.query(
            "SELECT count(*)::int AS waits FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
          )) as [{ waits: number }]
          return waits + ended === waiting.length
        })
      }
      goOn.resolve()
      await Promise.all([standing, ...waiting])
      await look()
    }
  })
})

describe("large steps", () => {
  /** A user acts on devices that nobody has seen if they are named for the first time. */
  const onDevices = (user: string, name: string) => Array.from({ length: 600 }, (_, n) => click(user, `${name}${n}`))

  test.each(COUNTED)("that bring the same new distinct ids don't meet in them while %s is counted", async (counted) => {
    const { group, workers, run, append, look } = await openWorld()
    if (counted === "everybody") await run(0, countWhole)
    for (const user of [ann, bob, cid, dan]) await append(onDevices(user, "shared"))
    let settled = 0
    const noting = { settled: Effect.sync(() => void settled++) }
    await Promise.all(workers.map(({ partition }) => run(partition, oneStep(partition, group, noting))))
    expect(settled).toBe(PARTITIONS)
    await look()
  })
})

/** Projects one partition to its end in one step that stops where it is told to. */
const oneStep = Effect.fnUntraced(function* (
  partition: number,
  group: Group,
  stops: { readonly [stop in (typeof STOPS)[number]]?: Effect.Effect<void> },
) {
  const readModel = yield* ReadModel
  const { locked = Effect.void, settled = Effect.void } = stops
  const stopping = ReadModel.of({
    ...readModel,
    commit: (step, settle) =>
      readModel.commit(step, (known) =>
        Effect.tap(
          settle({
            ...known,
            identities: (...asked) => Effect.tap(known.identities(...asked), () => locked),
          }),
          () => settled,
        ),
      ),
  })
  yield* Effect.gen(function* () {
    const projection = yield* claim(group, partition, "owner")
    const after = projection.checkpoint()?.position.sequence ?? 0
    yield* readBatches(partition, { after, chain: projection.chain }).pipe(Stream.runForEach(projection.take))
    yield* projection.commit()
  }).pipe(Effect.provideService(ReadModel, stopping))
})
