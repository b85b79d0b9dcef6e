import { Clock, Effect } from "effect"

/**
 * Milliseconds of a clock that only goes on, from any beginning: for how long something takes or waits. The time of day,
 * for when something was, may be put back by an hour, and who waits by it waits an hour more.
 */
export const monotonicMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos) / 1e6,
)
