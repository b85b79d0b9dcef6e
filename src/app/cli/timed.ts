import { Effect } from "effect"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { formatCount } from "./print.ts"

/** How long work took (s), and how many of its events that was a second. */
export interface Speed {
  readonly seconds: number
  readonly eventsPerSecond: number
}

/** Adds to what work did how fast it was, by the number of its events. */
export const timed = <A extends object, E, R>(work: Effect.Effect<A, E, R>, eventsOf: (done: A) => number) =>
  Effect.gen(function* () {
    const started = yield* monotonicMillis
    const done = yield* work
    const seconds = Math.round((yield* monotonicMillis) - started) / 1000
    const eventsPerSecond = Math.round(eventsOf(done) / Math.max(0.001, seconds))
    return { ...done, seconds, eventsPerSecond }
  })

export const formatSpeed = ({ eventsPerSecond, seconds }: Speed): string =>
  `${formatCount(eventsPerSecond)} events/s, ${seconds.toFixed(1)} s`
