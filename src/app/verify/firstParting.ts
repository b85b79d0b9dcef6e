import { Effect } from "effect"
import type { CountedBothWays, LoggedEvent, TwoValues } from "./bothWays.ts"

/** The event from which on two ways of counting part, and what they come to with it. */
export interface FirstParting {
  readonly at: LoggedEvent
  readonly values: TwoValues
}

/**
 * Finds an event before which engine and oracle agree and after which they don't; `null` when they agree at the end. Where
 * they part, meet and part again it is one of these events. Counts about as many times as the number of events has binary
 * digits.
 */
export const firstParting = Effect.fnUntraced(function* (counted: CountedBothWays) {
  const parts = (batches: number, places: number) =>
    Effect.map(counted.valuesAfter(batches, places), ({ engine, oracle }) => engine !== oracle)
  if (!(yield* parts(counted.batches, 0))) return null
  const batch = yield* lastAgreeing(counted.batches, (batches) => parts(batches, 0))
  const place = yield* lastAgreeing(counted.eventsOf(batch), (places) => parts(batch, places))
  const values = yield* counted.valuesAfter(batch, place + 1)
  return { at: counted.at(batch, place), values } satisfies FirstParting
})

/** A number of which they agree while they part at the next, given that they agree at none and part at all. */
const lastAgreeing = Effect.fnUntraced(function* (all: number, parts: (count: number) => Effect.Effect<boolean>) {
  let agreeing = 0
  let parting = all
  while (parting - agreeing > 1) {
    const middle = (agreeing + parting) >>> 1
    if (yield* parts(middle)) parting = middle
    else agreeing = middle
  }
  return agreeing
})
