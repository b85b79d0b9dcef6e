import { Context, Data, Effect, Layer, Schedule, Semaphore } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { ALL_PARTITIONS, Operations, type Outlook, type Pause } from "../../domain/projection/Operations.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { LIVE_GROUP } from "../../domain/projection/ReadModel.ts"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { TURN_MILLIS } from "./limits.ts"
import { WorkerState } from "./WorkerState.ts"

/** The log is asked for a sign of life this often. */
const LOG_PROBE_MILLIS = 2_000

/** A dependency that takes longer to answer is not well. */
const ANSWER_MILLIS = 3_000

class Unanswered extends Data.TaggedError("Unanswered")<{ readonly who: string }> {
  override get message(): string {
    return `${this.who} has not answered for ${ANSWER_MILLIS / 1000} s.`
  }
}

/** An outlook, and when the look at it began (ms of the monotonic clock). */
export interface Seen {
  readonly outlook: Outlook
  readonly at: number
}

/**
 * Looks at what all workers have in common, twice a second, for all loops of this worker together; on the way it finds
 * out whether the log and the database are well.
 */
export class Watch extends Context.Service<
  Watch,
  {
    /** The latest look; `null` before the first. */
    readonly latest: () => Seen | null
    /** Looks now, for who has to know. */
    readonly look: Effect.Effect<Outlook, ReadModelUnavailable>
  }
>()("tidemark/app/worker/Watch") {
  static readonly layer = Layer.effect(
    Watch,
    Effect.gen(function* () {
      const log = yield* EventLog
      const operations = yield* Operations
      const state = yield* WorkerState
      let seen: Seen | null = null

      // Whoever made the tables anew has proven the log, or was told to take it as it is: then records that only this process
      // remembers are no loss any more. Before the loops hear of it, since they try again when they do.
      const acceptLog = Effect.ignore(Effect.catchTag(log.prove, "LogDamaged", () => log.acceptEnd))

      // One look at a time, so that none is taken for newer than one that began after it.
      const turn = yield* Semaphore.make(1)
      const look = Effect.gen(function* () {
        const at = yield* monotonicMillis
        const outlook = yield* operations.look
        if (seen !== null && seen.outlook.made !== outlook.made) yield* acceptLog
        seen = { outlook, at }
        yield* state.stops(outlook.stops)
        return outlook
      }).pipe(turn.withPermits(1))
      const saying = <A, E extends { readonly _tag: string; readonly message: string }>(
        name: "log" | "postgres",
        probe: Effect.Effect<A, E>,
      ) =>
        probe.pipe(
          Effect.timeoutOrElse({
            duration: ANSWER_MILLIS,
            orElse: () => new Unanswered({ who: name === "log" ? "The log" : "Postgres" }),
          }),
          Effect.matchEffect({
            onSuccess: () => state.dependency(name, null),
            onFailure: (error) =>
              Effect.andThen(
                state.failed(error),
                state.dependency(name, error.message, error._tag === "LogDamaged" ? "not what it was" : "away"),
              ),
          }),
        )
      yield* saying("postgres", look)
      yield* saying("postgres", look).pipe(Effect.repeat(Schedule.spaced(TURN_MILLIS)), Effect.forkScoped)
      yield* saying("log", log.begins(0)).pipe(Effect.repeat(Schedule.spaced(LOG_PROBE_MILLIS)), Effect.forkScoped)
      return Watch.of({ latest: () => seen, look })
    }),
  )
}

/** The pause that holds for a (group, partition), if any. */
export const pauseOf = (outlook: Outlook, group: string, partition: number): Pause | undefined =>
  outlook.pauses.find(
    (pause) =>
      (pause.group === null || pause.group === group) &&
      (pause.partition === ALL_PARTITIONS || pause.partition === partition) &&
      // What is about to take over has to come up to where the default group stands.
      (pause.cause !== "takeover" || group === LIVE_GROUP),
  )
