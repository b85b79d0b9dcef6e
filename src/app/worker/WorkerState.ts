import { Clock, Context, Deferred, Effect, Layer } from "effect"
import type { Position } from "../../domain/log/position.ts"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import type { Stop } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP } from "../../domain/projection/ReadModel.ts"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { MovingRate } from "./MovingRate.ts"

/**
 * What a partition's loop does. `starting`: claims; `running`: projects, or waits for events; `waiting`: for a log or a
 * database that is away, and tries again by itself; `paused`: by an operator or by the error budget; `failed`: can't go
 * on until somebody acts.
 */
export type PartitionPhase = "starting" | "running" | "waiting" | "paused" | "failed"

/** A sentence that says what is wrong, and since when (ms). */
export interface Trouble {
  readonly sentence: string
  readonly since: number
}

/** What a worker knows of one (group, partition) that it owns. Instants are ms since 1970. */
export interface PartitionState {
  readonly group: string
  readonly partition: number
  readonly phase: PartitionPhase
  /** The last position committed; `null` at the beginning. */
  readonly position: Position | null
  /** When this worker became its owner; `null` while it has not. */
  readonly claimedAt: number | null
  /** When this worker last committed; `null` while it has not. */
  readonly committedAt: number | null
  /** Seconds since the loop last turned. A loop that is well turns every second at least, also with nothing to do. */
  readonly secondsSinceTurn: number
  /** Events folded per second, over the last ten seconds. */
  readonly eventsPerSecond: number
  /** Events folded since the worker began; those folded again after a failure count again. */
  readonly taken: number
  /** Events committed since the worker began. */
  readonly committed: number
  /** Events folded and not committed. */
  readonly pending: number
  /** Events since the worker began that a measure could not fold. */
  readonly quarantined: number
  /** Seconds since the oldest event was logged that is known and not committed; 0 when there is none. */
  readonly oldestPendingSeconds: number
  /** The last thing that went wrong; `null` once the loop runs again. */
  readonly trouble: Trouble | null
}

/** What a worker depends on. */
export type Dependency = "log" | "postgres"

/** Everything that a worker knows of itself. */
export interface WorkerSnapshot {
  /** Under this name the worker claims partitions. */
  readonly owner: string
  readonly startedAt: number
  readonly now: number
  /** By group and partition. */
  readonly partitions: ReadonlyArray<PartitionState>
  /** What is wrong with each dependency; `null` while it is well. */
  readonly dependencies: Readonly<Record<Dependency, Trouble | null>>
  /** What any worker of the project can't go on from, this one included; the coordinator's findings too. */
  readonly stops: ReadonlyArray<Stop>
  /** Set while the worker is ending: it finishes what is in hand, and takes no more. */
  readonly stopping: boolean
}

/** Where the loop of one (group, partition) says what it does. */
export interface PartitionReport {
  /** The loop turns. */
  readonly turned: Effect.Effect<void>
  readonly claimed: (position: Position | null) => Effect.Effect<void>
  /** Events were folded; the oldest of them was logged at `loggedAt` (ms). */
  readonly took: (events: number, quarantined: number, loggedAt: number) => Effect.Effect<void>
  readonly committed: (position: Position) => Effect.Effect<void>
  /** What was folded and not committed is given up. */
  readonly letGo: Effect.Effect<void>
  /** An event logged at `loggedAt` (ms) waits, which the loop can't take now; `null`: none does. */
  readonly behind: (loggedAt: number | null) => Effect.Effect<void>
  readonly is: (phase: PartitionPhase, sentence?: string) => Effect.Effect<void>
}

const CALLED: Readonly<Record<Dependency, string>> = { log: "The log", postgres: "PostgreSQL" }

/** What this worker knows of itself: written by its loops, read by whoever reports. */
export class WorkerState extends Context.Service<
  WorkerState,
  {
    readonly owner: string
    readonly snapshot: Effect.Effect<WorkerSnapshot>
    /** The worker becomes the owner of a (group, partition), and reports on it until it forgets it. */
    readonly report: (group: string, partition: number) => Effect.Effect<PartitionReport>
    /** The worker does not own a (group, partition) any more. */
    readonly forget: (group: string, partition: number) => Effect.Effect<void>
    /** Whether a dependency is well, or what is wrong with it, and how to call that; `away` if not given. */
    readonly dependency: (
      name: Dependency,
      sentence: string | null,
      is?: "away" | "not what it was",
    ) => Effect.Effect<void>
    readonly stops: (stops: ReadonlyArray<Stop>) => Effect.Effect<void>
    readonly stopping: Effect.Effect<void>
    /** Notes an error: one after which this process can do nothing any more ends the worker. */
    readonly failed: (error: { readonly _tag: string }) => Effect.Effect<void>
    /** Fails when the worker has to end. */
    readonly ended: Effect.Effect<never, ReadModelUnavailable>
  }
>()("tidemark/app/worker/WorkerState") {
  static readonly layer = (owner: string): Layer.Layer<WorkerState> =>
    Layer.effect(
      WorkerState,
      Effect.gen(function* () {
        const { now: startedAt, monotonic: began } = yield* instant
        const partitions = new Map<string, Entry>()
        const dependencies: Record<Dependency, Trouble | null> = { log: null, postgres: null }
        /** When each was last found well, ms of the monotonic clock. */
        const wellAt: Record<Dependency, number> = { log: began, postgres: began }
        const ended = yield* Deferred.make<never, ReadModelUnavailable>()
        let stopping = false
        let stops: ReadonlyArray<Stop> = []
        const keyOf = (group: string, partition: number) => `${group}/${partition}`
        return WorkerState.of({
          owner,
          snapshot: Effect.map(instant, (at) => ({
            owner,
            startedAt,
            now: at.now,
            partitions: [...partitions.values()].toSorted(byPlace).map((entry) => stateOf(entry, at)),
            dependencies: { ...dependencies },
            stops,
            stopping,
          })),
          report: (group, partition) =>
            Effect.map(monotonicMillis, (turnedAt) => {
              const entry = newEntry(group, partition, turnedAt)
              partitions.set(keyOf(group, partition), entry)
              return makeReport(entry)
            }),
          forget: (group, partition) => Effect.sync(() => void partitions.delete(keyOf(group, partition))),
          dependency: Effect.fnUntraced(function* (name, sentence, is = "away") {
            const { now, monotonic } = yield* instant
            const before = dependencies[name]
            dependencies[name] = troubleOf(before, sentence, now)
            // Once when it goes and once when it is back: what is in between is in the worker's health.
            if (before === null && sentence !== null) {
              yield* Effect.logWarning(`${CALLED[name]} is ${is}, and the worker waits for it. ${sentence}`)
            }
            if (before !== null && sentence === null) {
              yield* Effect.logInfo(`${CALLED[name]} is back after ${Math.round((monotonic - wellAt[name]) / 1000)} s.`)
            }
            if (sentence === null) wellAt[name] = monotonic
          }),
          stops: (found) =>
            Effect.sync(() => {
              stops = found
            }),
          stopping: Effect.sync(() => {
            stopping = true
          }),
          failed: (error) =>
            error instanceof ReadModelUnavailable && error.superseded === true
              ? Effect.asVoid(Deferred.fail(ended, error))
              : Effect.void,
          ended: Deferred.await(ended),
        })
      }),
    )
}

/** The same instant by two clocks (ms): the time of day, and one that only goes on. */
interface Instant {
  readonly now: number
  readonly monotonic: number
}

const instant: Effect.Effect<Instant> = Effect.zipWith(Clock.currentTimeMillis, monotonicMillis, (now, monotonic) => ({
  now,
  monotonic,
}))

interface Entry {
  readonly group: string
  readonly partition: number
  readonly rate: MovingRate
  phase: PartitionPhase
  position: Position | null
  claimedAt: number | null
  committedAt: number | null
  /** By the monotonic clock. */
  turnedAt: number
  taken: number
  committed: number
  pending: number
  quarantined: number
  oldestPendingAt: number | null
  trouble: Trouble | null
}

const newEntry = (group: string, partition: number, turnedAt: number): Entry => ({
  group,
  partition,
  rate: new MovingRate(),
  phase: "starting",
  position: null,
  claimedAt: null,
  committedAt: null,
  turnedAt,
  taken: 0,
  committed: 0,
  pending: 0,
  quarantined: 0,
  oldestPendingAt: null,
  trouble: null,
})

const stateOf = ({ rate, turnedAt, oldestPendingAt, ...rest }: Entry, { now, monotonic }: Instant): PartitionState => ({
  ...rest,
  secondsSinceTurn: (monotonic - turnedAt) / 1000,
  eventsPerSecond: rate.perSecond(monotonic),
  oldestPendingSeconds: oldestPendingAt === null ? 0 : Math.max(0, (now - oldestPendingAt) / 1000),
})

const makeReport = (entry: Entry): PartitionReport => {
  /** Changes the entry at an instant, which is also a sign that the loop turns. */
  const change = (write: (at: Instant) => void) =>
    Effect.map(instant, (at) => {
      entry.turnedAt = at.monotonic
      write(at)
    })
  return {
    turned: change(() => {}),
    claimed: (position) =>
      change(({ now }) => {
        entry.position = position
        entry.claimedAt = now
      }),
    took: (events, quarantined, loggedAt) =>
      change(({ monotonic }) => {
        entry.taken += events
        entry.pending += events
        entry.quarantined += quarantined
        entry.rate.add(events, monotonic)
        entry.oldestPendingAt ??= loggedAt
      }),
    committed: (position) =>
      change(({ now }) => {
        entry.position = position
        entry.committedAt = now
        entry.committed += entry.pending
        entry.pending = 0
        entry.oldestPendingAt = null
      }),
    letGo: change(() => {
      entry.pending = 0
    }),
    behind: (loggedAt) =>
      change(() => {
        entry.oldestPendingAt = loggedAt
      }),
    is: (phase, sentence) =>
      change(({ now }) => {
        entry.phase = phase
        entry.trouble = troubleOf(entry.trouble, sentence ?? null, now)
      }),
  }
}

/** Whether people see the numbers of a partition: builds' they don't yet, and the coordinator has none. */
export const isLive = ({ group }: PartitionState): boolean => group === LIVE_GROUP

/** The same trouble as before keeps its beginning. */
const troubleOf = (before: Trouble | null, sentence: string | null, now: number): Trouble | null =>
  sentence === null ? null : before?.sentence === sentence ? before : { sentence, since: now }

const byPlace = (a: Entry, b: Entry): number =>
  a.group === b.group ? a.partition - b.partition : a.group < b.group ? -1 : 1
