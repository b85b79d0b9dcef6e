import { Effect } from "effect"
import { priceBuilds } from "../metrics/buildCost.ts"
import { liveOf } from "./builds.ts"

/** What it would take to build metrics anew, by default all that are live. */
export const priceRebuild = Effect.fn("priceRebuild")(function* (metrics?: ReadonlyArray<string>) {
  return yield* priceBuilds((yield* liveOf(metrics)).map(({ definition }) => definition.name))
})
