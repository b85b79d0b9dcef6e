import { type Cause, Duration, Effect, Queue, Stream } from "effect"
import { isDone } from "effect/Cause"
import type { LogDamaged, LogUnavailable } from "../../domain/log/errors.ts"
import { EventLog, type LogRecord } from "../../domain/log/EventLog.ts"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import type { PartitionProjection } from "../projection/PartitionProjection.ts"
import { openRecord, proveChain, withoutRepeat } from "../readBatches.ts"
import type { ErrorBudget } from "./ErrorBudget.ts"
import type { Isolation } from "./isolation.ts"
import { Limits, TURN_MILLIS } from "./limits.ts"
import { StepRoom } from "./StepRoom.ts"
import type { PartitionReport } from "./WorkerState.ts"

/** Records that wait to be folded: with them the log's reader goes on while a step is committed, and not much further. */
const RECORDS_AHEAD = 8

/** Between two looks whether there is room for a step, ms. */
const ROOM_MILLIS = 10

export interface ProjectRecordsOptions<Leave extends string> {
  /** Whether it is for the default group. */
  readonly live: boolean
  readonly records: Stream.Stream<LogRecord, LogUnavailable | LogDamaged>
  readonly projection: PartitionProjection
  readonly isolation: Isolation
  readonly budget: ErrorBudget
  readonly report: PartitionReport
  /**
   * Why to leave now, if so; asked at every turn, with when the last step was committed (ms of the monotonic clock).
   * `finish`: commit what is folded first.
   */
  readonly leave: (committedAt: number) => { readonly because: Leave; readonly finish: boolean } | null
  /** All is well: something was committed, or there was nothing to do for a while. */
  readonly onWell: Effect.Effect<void>
}

/**
 * Projects records under one claim, in steps that adapt themselves: a step is committed as soon as nothing more is at
 * hand, so that with little to do an event is visible at once; while events keep coming, it takes in what comes for a
 * while after the step before (see `Limits`), and as much as there is room for at most. The log is read no further ahead
 * than a few records, so a slow database slows the reading down. When interrupted, it commits what it has folded.
 */
export const projectRecords = <Leave extends string>(options: ProjectRecordsOptions<Leave>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { live, records, projection, isolation, budget, report, leave, onWell } = options
      const log = yield* EventLog
      const { lingerTimes, lingerMillis } = yield* Limits
      const room = yield* StepRoom
      const loop = { live }
      let committedAt = Number.NEGATIVE_INFINITY
      /** When a step that is not full may be committed, ms. */
      let due = Number.NEGATIVE_INFINITY
      /** Whether the chain knows of a batch that is not folded: such a state must never be committed. */
      let torn = false

      /** Commits what is folded, and what `meanwhile` adds to it when its turn has come. */
      const commitWith = <E, R>(meanwhile: Effect.Effect<unknown, E, R>) =>
        Effect.gen(function* () {
          if (torn || !projection.isAhead()) return
          const [took] = yield* Effect.timed(room.committing(loop, Effect.andThen(meanwhile, projection.commit())))
          room.holds(loop, 0)
          committedAt = yield* monotonicMillis
          due = committedAt + Math.min(lingerMillis, lingerTimes * Duration.toMillis(took))
          yield* report.committed(projection.checkpoint()!.position)
          yield* isolation.committed
          yield* onWell
        }).pipe(Effect.uninterruptible)

      const commit = commitWith(Effect.void)

      /** Folds a record; `true` when it is to be committed now. */
      const fold = (record: LogRecord) =>
        Effect.gen(function* () {
          const { position } = record
          const opened = withoutRepeat(projection.chain, position, yield* openRecord(record))
          const alone = opened.count > 0 && (yield* isolation.before({ position, batch: opened }, projection))
          const batch = yield* proveChain(log, projection.chain, record, opened)
          torn = true
          const { events, failed } = yield* projection.take({ position, batch })
          torn = false
          yield* report.took(events, failed, batch.origin.loggedAt)
          budget.add(events, failed)
          const full = room.holds(loop, projection.pending())
          return alone || full || budget.overrun !== null
        }).pipe(Effect.uninterruptible)

      const queue = yield* Queue.bounded<LogRecord, LogUnavailable | LogDamaged | Cause.Done>(RECORDS_AHEAD)
      yield* Stream.runIntoQueue(records, queue).pipe(Effect.forkScoped)

      /** Folds what has come while a live loop waited for its turn, so that the step takes it along; builds can wait. */
      const foldWhatCame = Effect.gen(function* () {
        for (let left = live ? yield* Queue.size(queue) : 0; left > 0; left--) {
          if (yield* fold(yield* Queue.take(queue))) return
        }
      })

      const turns = Effect.gen(function* () {
        for (;;) {
          yield* report.turned
          const leaving = leave(committedAt)
          if (leaving !== null) {
            if (leaving.finish) yield* commit
            return leaving.because
          }
          if ((yield* Queue.size(queue)) > 0) {
            if (!room.mayBegin(loop)) {
              yield* Effect.sleep(ROOM_MILLIS)
              continue
            }
            if (yield* room.folding(loop, fold(yield* Queue.take(queue)))) yield* commit
            continue
          }
          const now = yield* monotonicMillis
          const folded = projection.isAhead()
          const patience = folded ? due - now : TURN_MILLIS
          if (folded && patience <= 0) {
            yield* commitWith(foldWhatCame)
            continue
          }
          const come = yield* Effect.timeoutOption(Queue.peek(queue), patience)
          if (come._tag === "None" && !folded) {
            yield* report.behind(null)
            yield* onWell
          }
        }
      })

      return yield* turns.pipe(
        Effect.catchIf(isDone, () => Effect.as(commit, "end" as const)),
        // What was folded before the damage is good.
        Effect.tapError(({ _tag }) => (_tag === "LogDamaged" || _tag === "UnknownBatchVersion" ? commit : Effect.void)),
        Effect.onInterrupt(() => Effect.catch(commit, ({ message }) => Effect.logInfo(message))),
        Effect.ensuring(isolation.ended),
        Effect.ensuring(Effect.sync(() => room.holds(loop, 0))),
        Effect.ensuring(report.letGo),
      )
    }),
  )
