import { Effect, Latch, Schedule, Stream } from "effect"
import { CONTROL_PARTITION, EventLog } from "../../domain/log/EventLog.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { ALL_PARTITIONS, Operations, type Outlook } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { type CountBounds, countPersons } from "../projection/countPersons.ts"
import { prepare } from "../projection/prepare.ts"
import { SWEEP_ROWS } from "../projection/Projector.ts"
import { FOLLOW_MILLIS, TURN_MILLIS } from "./limits.ts"
import { LoopBroke, remedyFor } from "./policy.ts"
import { WorkerState } from "./WorkerState.ts"

/** Under this name the coordinator reports, with the partition of control facts. */
export const COORDINATOR = "coordinator"

/** The log is asked to prove itself, and the tables are compared with the control facts, at least this often, ms. */
const PROVE_MILLIS = 10_000

/** Persons are counted for so long in one turn, ms. */
const COUNT_MILLIS = 5_000

/** Days and moments, which are in memory several times over, in a process of bounded memory. */
const COUNT_PORTION = 50_000

/** Of the default group itself, which has no answers yet that somebody waits for. */
const COUNT_LIVE: CountBounds = { portion: COUNT_PORTION, transaction: 4 * COUNT_PORTION }

/** For a build: steps of the default group wait for it, since they go on with what builds, too: some tenths of a second. */
const COUNT_BUILD: CountBounds = { portion: COUNT_PORTION, transaction: COUNT_PORTION }

/**
 * How long such a count rests after a slice: a share of what the slice took, and no longer than that of an ordinary one, so
 * that steps of all partitions get their turn. It does not rest after short slices, the last ones: while it rested, more
 * persons would come, and so on for ever; nor while the default group stands still, since nobody waits for it then.
 */
const COUNT_REST = 0.3
const COUNT_REST_FROM_MILLIS = 50
const COUNT_REST_MAX_MILLIS = 300

/** A group that comes within this time to where the default group stood keeps up with it, ms; it looks once in `FOLLOW_MILLIS`. */
const KEEPS_UP_MILLIS = 3_000 + FOLLOW_MILLIS

/** The default group stands still for a build that is about to take over at most so long. */
const STILL_MILLIS = 20_000

/**
 * Does once for all partitions what must be done once: follows the control facts, empties the tables when the settings
 * are others, registers metrics, takes over what is built, deletes what dropped versions have left, marks the tables as whole, and lets the log prove itself. Two
 * at once do no harm: each step is one transaction that finds out whether it is due.
 */
export const coordinator = Effect.fn("coordinator")(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const operations = yield* Operations
  const state = yield* WorkerState
  const report = yield* state.report(COORDINATOR, CONTROL_PARTITION)
  yield* Effect.addFinalizer(() => state.forget(COORDINATOR, CONTROL_PARTITION))
  const news = yield* Latch.make()
  let failures = 0
  let stopped = true
  /** When the log last proved itself, and the tables were brought in line with the control facts. */
  let provenAt = Number.NEGATIVE_INFINITY
  /** Where the log ended when the tables were found empty. */
  let target: { readonly made: string; readonly ends: ReadonlyMap<number, number> } | null = null
  /** What the groups that build go after. */
  const chases = new Map<string, Chase>()

  /** Whether the default group stands still for one of them. */
  const standsStill = () => [...chases.values()].some((chase) => chase.still)

  /** Brings the tables in line with the control facts. */
  const align = Effect.gen(function* () {
    const plan = yield* prepare
    if (plan.wiped) yield* Effect.logInfo("The settings have changed: all partitions are projected anew.")
  })

  const markWhole = Effect.fnUntraced(function* ({ made, whole, ownerships }: Outlook) {
    if (whole || made === null) return
    if (target?.made !== made) {
      const ends = (yield* log.status).flatMap(({ partition, last }) =>
        partition === CONTROL_PARTITION || last === null ? [] : [[partition, last.sequence] as const],
      )
      target = { made, ends: new Map(ends) }
    }
    const at = positionsOf(ownerships, LIVE_GROUP)
    const behind = Array.from(target.ends).some(([partition, end]) => (at.get(partition) ?? 0) < end)
    // What is about to take over goes first: the default group stands still for it.
    if (behind || standsStill()) return
    if (yield* count(LIVE_GROUP)) yield* readModel.markWhole(made)
  })

  /** Counts persons for a while; the rest at the next turn. */
  const count = Effect.fnUntraced(function* (group: string) {
    let began = yield* monotonicMillis
    const until = began + COUNT_MILLIS
    const afterSlice = Effect.gen(function* () {
      yield* report.turned
      const took = (yield* monotonicMillis) - began
      if (group !== LIVE_GROUP && took >= COUNT_REST_FROM_MILLIS && !standsStill()) {
        yield* Effect.sleep(Math.min(COUNT_REST * took, COUNT_REST_MAX_MILLIS))
      }
      began = yield* monotonicMillis
      return began < until && !isPausedByOperator(yield* operations.look)
    })
    return yield* countPersons(group, group === LIVE_GROUP ? COUNT_LIVE : COUNT_BUILD, () => afterSlice)
  })

  const still = { group: null, partition: ALL_PARTITIONS, cause: "takeover" } as const

  /**
   * Lets the default group go on when no build is about to take over any more: whether it has, its group or
   * the tables are others now, or a coordinator before this one ended in the middle.
   */
  const endStandstill = Effect.fnUntraced(function* ({ groups, pauses }: Outlook) {
    for (const group of chases.keys()) if (!groups.includes(group)) chases.delete(group)
    if (standsStill() || !pauses.some(({ cause }) => cause === "takeover")) return
    yield* operations.resume(ALL_PARTITIONS, ["takeover"])
  })

  const buildsOf = (group: string) =>
    Effect.map(readModel.measures, (versions) =>
      versions
        .filter((version) => version.group === group)
        .map(buildName)
        .join(", "),
    )

  const adopt = Effect.fnUntraced(function* (group: string, outlook: Outlook) {
    const now = yield* monotonicMillis
    const live = positionsOf(outlook.ownerships, LIVE_GROUP)
    const built = positionsOf(outlook.ownerships, group)
    const reached = (positions: ReadonlyMap<number, number>) =>
      Array.from(positions).every(([partition, sequence]) => (built.get(partition) ?? 0) >= sequence)
    const before = chases.get(group) ?? { live, since: now, still: false }
    // Counted before the default group stands still, since that may take long, and not while it does so for another.
    const due = before.still || (reached(before.live) && !standsStill())
    const counted = due && (yield* count(group))
    const names = yield* buildsOf(group)
    if (counted && reached(live) && (yield* readModel.adopt(group))) {
      yield* Effect.logInfo(`Built over all of history: ${names}.`)
      chases.delete(group)
      // It may have been promoted already, or take the place of what is live now.
      news.openUnsafe()
    } else if (!before.still && counted && now > before.since) {
      yield* operations.pause({ ...still, sentence: `Metrics are about to be ready: ${names}.` })
      chases.set(group, { live, since: now, still: true })
    } else if (now - before.since > (before.still ? STILL_MILLIS : KEEPS_UP_MILLIS)) {
      chases.set(group, { live, since: now, still: false })
    } else {
      chases.set(group, before)
    }
  })

  /** While an operator lets everything stand still, nobody is counted, and no build takes over. */
  const unlessPaused = <E, R>(work: Effect.Effect<void, E, R>) =>
    Effect.flatMap(operations.look, (outlook) => (isPausedByOperator(outlook) ? Effect.void : work))

  const turn = Effect.gen(function* () {
    yield* report.turned
    const now = yield* monotonicMillis
    const outlook = yield* operations.look
    yield* endStandstill(outlook)
    const due = now - provenAt >= PROVE_MILLIS
    if (due || outlook.groups.length === 0 || news.isOpen()) {
      news.closeUnsafe()
      yield* align
      provenAt = now
    }
    yield* unlessPaused(markWhole(outlook))
    for (const group of outlook.groups) if (group !== LIVE_GROUP) yield* unlessPaused(adopt(group, outlook))
    yield* endStandstill(outlook)
    yield* readModel.sweep(SWEEP_ROWS)
    yield* report.is("running")
    failures = 0
    if (stopped) {
      stopped = false
      yield* operations.goOn(COORDINATOR, CONTROL_PARTITION)
    }
    yield* Effect.timeoutOption(news.await, TURN_MILLIS)
  })

  const recovering = turn.pipe(
    Effect.catchDefect((defect) => Effect.fail(new LoopBroke({ defect }))),
    Effect.catch((error) =>
      Effect.gen(function* () {
        provenAt = Number.NEGATIVE_INFINITY
        // The default group must not stand still for a build that can't take over.
        chases.clear()
        yield* state.failed(error)
        const remedy = yield* remedyFor(error, false, failures++)
        const sentence = error.message
        if (remedy.kind === "wait") {
          yield* report.is("waiting", sentence)
          return yield* Effect.sleep(remedy.millis)
        }
        yield* Effect.logError(`The coordinator can't go on: ${sentence}`)
        yield* report.is("failed", sentence)
        stopped = true
        yield* Effect.ignore(
          operations.stop({ group: COORDINATOR, partition: CONTROL_PARTITION, owner: state.owner, sentence }),
        )
        yield* Effect.sleep(PROVE_MILLIS)
      }),
    ),
  )

  yield* log.follow(CONTROL_PARTITION, 0).pipe(
    Stream.runForEach(() => news.open),
    Effect.retry(Schedule.spaced(PROVE_MILLIS)),
    Effect.forkScoped,
  )
  return yield* Effect.forever(recovering)
}, Effect.scoped)

/** Whether an operator lets everything stand still. */
const isPausedByOperator = ({ pauses }: Outlook): boolean =>
  pauses.some(({ cause, group, partition }) => cause === "operator" && group === null && partition === ALL_PARTITIONS)

/** A group that builds goes after the default group; one that keeps up makes it stand still for the last stretch. */
interface Chase {
  /** Where the default group stood. */
  readonly live: ReadonlyMap<number, number>
  readonly since: number
  /** Whether the default group stands still for it. */
  readonly still: boolean
}

const positionsOf = (ownerships: Outlook["ownerships"], group: string): ReadonlyMap<number, number> =>
  new Map(ownerships.filter((it) => it.group === group).map(({ partition, sequence }) => [partition, sequence]))
