import { Effect } from "effect"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { BadQuery } from "./errors.ts"

/** How the tables stand; refuses those that are being made anew. Nothing projected at all is an answer. */
export const wholeStanding = Effect.gen(function* () {
  const { standing } = yield* ReadModelQueries
  const found = yield* standing
  if (found.settings === null || found.whole) return found
  return yield* new BadQuery({
    problem: "The read model is not whole: it is being made, or that did not get to the end.",
    remedy: `Workers finish it ("tidemark status" shows how far they are); without workers "tidemark project --once" does.`,
  })
})
