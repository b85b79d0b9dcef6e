import { Effect, Stream } from "effect"
import { decodeBatch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { EVERY_MEASURE, Operations, type Outlook } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { buildGroups, decidedUpTo, liveGroup } from "../projection/groups.ts"
import { claimPartition, type PartitionProjection } from "../projection/PartitionProjection.ts"
import { proveCheckpoint } from "../provePosition.ts"
import { ErrorBudget } from "./ErrorBudget.ts"
import { makeIsolation } from "./isolation.ts"
import { FOLLOW_MILLIS, Limits, TURN_MILLIS } from "./limits.ts"
import { LoopBroke, remedyFor } from "./policy.ts"
import { projectRecords } from "./projectRecords.ts"
import { pauseOf, Watch } from "./Watch.ts"
import { WorkerState } from "./WorkerState.ts"

/** While a loop can't take events, it looks this often whether any wait, ms. */
const LOOK_BEHIND_MILLIS = 5_000

/** A group that builds looks this often how far the default group is once that stands still for it, ms. */
const FOLLOW_STILL_MILLIS = 100

/**
 * Runs one (group, partition) for ever: claims it, proves its position, follows the log and commits step after step. It
 * ends only when its group has: when what it built was promoted or replaced.
 *
 * Any number of these may run for the same (group, partition), in any number of processes: each claim ends the one
 * before, and a step of an owner before it is refused. So who runs it, and how many do, matters for speed only.
 */
export const partitionLoop = Effect.fn("partitionLoop")(function* (name: string, partition: number) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const operations = yield* Operations
  const watch = yield* Watch
  const state = yield* WorkerState
  const limits = yield* Limits
  const report = yield* state.report(name, partition)
  const live = name === LIVE_GROUP
  /** Errors since the loop last did well. */
  let failures = 0
  /** Whether other workers were told that the loop can't go on. */
  let stopped = false
  let lookedBehindAt = Number.NEGATIVE_INFINITY
  let budget = new ErrorBudget(limits)

  /** Whether workers know of a stop here, also of one by a worker that had the partition before. */
  const isStopped = (outlook: Outlook | undefined) =>
    outlook?.stops.some((it) => it.group === name && it.partition === partition) === true

  /** Whether somebody has done something about a stop since now: has emptied the tables, or has taken the stop away. */
  const somebodyActed = () => {
    const made = watch.latest()?.outlook.made
    let told = false
    return (): boolean => {
      const seen = watch.latest()
      if (seen === null) return false
      const held = isStopped(seen.outlook)
      told ||= held
      return seen.outlook.made !== made || (told && !held)
    }
  }

  const onWell = Effect.suspend(() => {
    failures = 0
    const well = report.is("running")
    if (!stopped && !isStopped(watch.latest()?.outlook)) return well
    stopped = false
    return well.pipe(
      Effect.andThen(Effect.ignore(operations.goOn(name, partition))),
      Effect.andThen(Effect.logInfo(`Group ${name}, partition ${partition} goes on.`)),
    )
  })

  /** How old what waits is, although it can't be taken now. */
  const lookBehind = Effect.gen(function* () {
    const now = yield* monotonicMillis
    if (now - lookedBehindAt < LOOK_BEHIND_MILLIS) return
    lookedBehindAt = now
    const checkpoint = yield* readModel.checkpoint(name, partition)
    const [next] = yield* log
      .read(partition, checkpoint?.position.sequence ?? 0)
      .pipe(Stream.take(1), Stream.runCollect)
    if (next === undefined) return yield* report.behind(null)
    const { origin } = yield* Effect.fromResult(decodeBatch(next.bytes))
    yield* report.behind(origin.loggedAt)
  }).pipe(Effect.timeoutOption(TURN_MILLIS), Effect.ignore)

  /** Waits, and goes on turning; no longer than until `over`. */
  const idle = Effect.fnUntraced(function* (millis: number, over = () => false) {
    const until = (yield* monotonicMillis) + millis
    for (;;) {
      yield* report.turned
      const left = until - (yield* monotonicMillis)
      if (left <= 0 || over()) return
      yield* lookBehind
      yield* Effect.sleep(Math.min(left, TURN_MILLIS))
    }
  })

  const paused = (group = name) => {
    const seen = watch.latest()
    return seen === null ? undefined : pauseOf(seen.outlook, group, partition)
  }

  /** Whether the default group stands still until what is built has come to where it is. */
  const liveStandsStill = () => paused(LIVE_GROUP)?.cause === "takeover"

  /**
   * Whether somebody has claimed the partition since, emptied the tables, or put the database back to an older copy, in
   * which it stands elsewhere than at the end of the last step.
   */
  const isStale = ({ epoch, checkpoint }: PartitionProjection, knownAt: number): boolean => {
    const seen = watch.latest()
    if (seen === null || seen.at <= knownAt) return false
    const found = seen.outlook.ownerships.find((it) => it.group === name && it.partition === partition)
    return found?.epoch !== epoch || found.sequence !== (checkpoint()?.position.sequence ?? 0)
  }

  const isOwnedByOther = Effect.map(
    Effect.option(operations.look),
    (looked) =>
      looked._tag === "Some" &&
      looked.value.ownerships.some((it) => it.group === name && it.partition === partition && it.owner !== state.owner),
  )

  const planned = Effect.gen(function* () {
    const settings = yield* readModel.settings
    const versions = yield* readModel.measures
    return settings === null || versions.length === 0 ? null : { settings, versions }
  })

  /** How far to go: as far as there are events, but no group goes further than the default group has decided on. */
  const endOf = live ? Effect.succeed(null) : decidedUpTo(partition)

  /** Projects under one claim, until there is a reason to end it. */
  const projectClaimed = Effect.gen(function* () {
    const plan = yield* planned
    if (plan === null) return "unready" as const
    const { settings, versions } = plan
    const zone = TimeZone.of(settings.timeZone)!
    const group = live ? liveGroup(versions, zone) : buildGroups(versions, zone).find((it) => it.name === name)
    if (group === undefined) return "gone" as const
    const end = yield* endOf
    if (end !== null && end <= ((yield* readModel.checkpoint(name, partition))?.position.sequence ?? 0)) {
      yield* onWell
      return "end" as const
    }
    const leavingOut = live ? [EVERY_MEASURE] : group.measures.map(({ measure }) => measure.definition.name)
    const found = yield* operations.isolated(partition, leavingOut)
    const isolated = new Map(Array.from(found, ([n, places]) => [n, new Set(places)]))
    const projection = yield* claimPartition(group, partition, settings, state.owner, isolated)
    // Only what began to look after the claim was through is sure to have seen it.
    const claimedAt = yield* monotonicMillis
    // A pause ends the claims that it finds; who claims after it finds it here.
    if (pauseOf(yield* watch.look, name, partition) !== undefined) return "paused" as const
    const checkpoint = projection.checkpoint()
    const after = yield* proveCheckpoint(checkpoint)
    yield* report.claimed(checkpoint?.position ?? null)
    const records =
      end === null
        ? log.follow(partition, after)
        : log.read(partition, after).pipe(Stream.takeWhile(({ position: { sequence } }) => sequence <= end))
    return yield* projectRecords({
      live,
      records,
      projection,
      isolation: yield* makeIsolation(name, partition, leavingOut, isolated),
      budget,
      report,
      leave: (committedAt) =>
        isStale(projection, Math.max(claimedAt, committedAt))
          ? { because: "stale" as const, finish: false }
          : budget.overrun !== null
            ? { because: "overrun" as const, finish: true }
            : paused() !== undefined
              ? { because: "paused" as const, finish: true }
              : null,
      onWell,
    })
  })

  const pause = (cause: "budget" | "crash", sentence: string) =>
    Effect.gen(function* () {
      yield* Effect.logError(`Group ${name}, partition ${partition} is paused: ${sentence}`)
      yield* report.is("paused", sentence)
      yield* operations.pause({ group: name, partition, cause, sentence })
      // Until the next look has seen it.
      yield* idle(2 * TURN_MILLIS)
    })

  const turn = Effect.gen(function* () {
    const pausing = paused()
    if (pausing !== undefined) {
      yield* report.is("paused", pausing.sentence)
      return yield* idle(TURN_MILLIS)
    }
    const outcome = yield* projectClaimed
    if (outcome === "gone") return outcome
    if (outcome === "overrun") {
      const sentence = budget.overrun!
      budget = new ErrorBudget(limits)
      yield* pause("budget", sentence)
    } else if (outcome === "unready") {
      yield* report.is("waiting", "The read model is being made ready; the coordinator does that.")
      yield* idle(TURN_MILLIS)
    } else if (outcome === "end") {
      const until = (yield* monotonicMillis) + FOLLOW_MILLIS
      do yield* idle(FOLLOW_STILL_MILLIS)
      while (!liveStandsStill() && (yield* monotonicMillis) < until)
    } else if (outcome === "stale" && (yield* isOwnedByOther)) {
      yield* report.is("waiting", "Another worker has claimed the partition.")
      yield* idle(6 * TURN_MILLIS)
    }
  })

  const turnOrRecover = turn.pipe(
    Effect.catchDefect((defect) => Effect.fail(new LoopBroke({ defect }))),
    Effect.catch((error) =>
      Effect.gen(function* () {
        yield* state.failed(error)
        const remedy = yield* remedyFor(error, yield* isOwnedByOther, failures++)
        if (error._tag === "CheckpointConflict") yield* Effect.logInfo(error.message)
        if (remedy.kind === "again") return
        if (remedy.kind === "park") return yield* Effect.ignore(pause("crash", remedy.sentence))
        if (remedy.kind === "wait") {
          yield* report.is("waiting", remedy.sentence)
        } else {
          yield* Effect.logError(`Group ${name}, partition ${partition} can't go on: ${remedy.sentence}`)
          yield* report.is("failed", remedy.sentence)
          stopped = true
          const { owner } = state
          yield* Effect.ignore(operations.stop({ group: name, partition, owner, sentence: remedy.sentence }))
          return yield* idle(remedy.millis, somebodyActed())
        }
        yield* idle(remedy.millis)
      }),
    ),
  )

  const forEver = Effect.gen(function* () {
    while ((yield* turnOrRecover) !== "gone") yield* Effect.yieldNow
  })
  yield* Effect.ensuring(forEver, state.forget(name, partition))
  // What a group could not do is over with the group.
  if (stopped) yield* Effect.ignore(operations.goOn(name, partition))
})
