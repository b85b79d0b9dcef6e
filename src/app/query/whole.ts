import { Effect } from "effect"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { BadQuery } from "./errors.ts"

/** Refuses to answer from tables that are being made anew. Nothing projected at all is an answer. */
export const requireWhole = Effect.gen(function* () {
  const readModel = yield* ReadModel
  if ((yield* readModel.settings) === null || (yield* readModel.isWhole)) return
  return yield* new BadQuery({
    problem: "The read model is not whole: it is being made, or that did not get to the end.",
    remedy: `Workers finish it ("tidemark status" shows how far they are); without workers "tidemark project --once" does.`,
  })
})
