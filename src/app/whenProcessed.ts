import { Data, Duration, Effect } from "effect"
import { formatPosition, type Position } from "../domain/log/position.ts"
import type { ReadModelUnavailable } from "../domain/projection/errors.ts"
import { LIVE_GROUP, ReadModel } from "../domain/projection/ReadModel.ts"
import { monotonicMillis } from "../infra/monotonicMillis.ts"

/** Between two looks at the checkpoint, ms. */
const LOOK_MILLIS = 20

/** What was written to the log is not in the read model yet, and the time to wait is over. */
export class NotProcessedInTime extends Data.TaggedError("NotProcessedInTime")<{
  readonly position: Position
  /** How far the partition is; 0 at the beginning. */
  readonly reached: number
  readonly waitedMillis: number
}> {
  override get message(): string {
    const { position, reached } = this
    const state =
      reached < position.sequence
        ? `the read model is at ${position.partition}/${reached}, not yet at ${formatPosition(position)}`
        : "the read model is still being made and answers nothing"
    return `After ${this.waitedMillis / 1000} s ${state}. Nothing is lost: wait longer, or look at "tidemark status" to see what the workers do.`
  }
}

/**
 * Reads your own writes: returns when answers have the log up to a position (as `append` gave it) in them, else fails after
 * `timeout`. Who would rather have the answer as it is then catches the error.
 */
export const whenProcessed = (
  position: Position,
  timeout: Duration.Input,
): Effect.Effect<void, NotProcessedInTime | ReadModelUnavailable, ReadModel> =>
  Effect.gen(function* () {
    const readModel = yield* ReadModel
    const began = yield* monotonicMillis
    for (;;) {
      const checkpoint = yield* readModel.checkpoint(LIVE_GROUP, position.partition)
      const reached = checkpoint?.position.incarnation === position.incarnation ? checkpoint.position.sequence : 0
      if (reached >= position.sequence && (yield* readModel.isWhole)) return
      const waitedMillis = Math.round((yield* monotonicMillis) - began)
      if (waitedMillis >= Duration.toMillis(timeout)) {
        return yield* new NotProcessedInTime({ position, reached, waitedMillis })
      }
      yield* Effect.sleep(LOOK_MILLIS)
    }
  })
