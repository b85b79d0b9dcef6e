import { Effect } from "effect"
import { Replays, type Replayed } from "./Replays.ts"
import { resolveAsOf } from "./resolveAsOf.ts"

/** Asks as of an instant of log time, or of the cut of another answer. */
export const askAsOf = Effect.fn("askAsOf")(function* <A, E>(asOf: string, question: Effect.Effect<A, E, Replayed>) {
  const replays = yield* Replays
  return yield* replays.ask(yield* resolveAsOf(asOf), question)
})
