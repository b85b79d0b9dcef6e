import { Effect } from "effect"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"

/**
 * A question whose answer takes long to work out from what the tables say: `ask` asks them, all at one moment, and gives
 * what is to be done when that moment is over.
 */
export const inTwoPhases =
  <Args extends ReadonlyArray<unknown>, A, E1, R1, E2, R2>(
    ask: (...args: Args) => Effect.Effect<{ readonly count: Effect.Effect<A, E2, R2> }, E1, R1>,
  ) =>
  (...args: Args) =>
    Effect.flatMap(ReadModelQueries, ({ snapshot }) => Effect.flatMap(snapshot(ask(...args)), ({ count }) => count))
