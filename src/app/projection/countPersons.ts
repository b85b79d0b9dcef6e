import { Effect } from "effect"
import type { KnownFacts } from "../../domain/projection/StepChanges.ts"
import { settleUncounted } from "../../domain/projection/settle.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { ReadModel, type Uncounted } from "../../domain/projection/ReadModel.ts"

/** Identities in the first transaction; how much their facts hold says how many are in the next. */
const IDENTITIES_FIRST = 50
const IDENTITIES_MAX = 10_000

/** Days and moments in memory at once, about, where nobody waits for the transaction, and memory is no worker's. */
const WEIGHT_MAX = 200_000

/**
 * Counts all persons of a group whose facts were only gathered so far, some in each transaction; does nothing when everybody
 * is counted. A transaction reads about as many days and moments as `weightMax` says; steps of the same measures wait for it.
 * After each it asks whether to go on, saying how many distinct ids it has counted; gives whether everybody is counted. Any
 * number of these may run at once.
 */
export const countPersons = Effect.fn("countPersons")(function* (
  group: string,
  weightMax: number,
  goOn: (distinctIds: number) => Effect.Effect<boolean, ReadModelUnavailable>,
) {
  const readModel = yield* ReadModel
  let limit = IDENTITIES_FIRST
  let weight = 0
  let distinctIds = 0
  const settle = (uncounted: Uncounted) => {
    weight = weightOf(uncounted.facts)
    distinctIds += uncounted.identities.length
    return settleUncounted(uncounted)
  }
  while (!(yield* readModel.countNext(group, limit, settle))) {
    const wanted = Math.floor((limit * weightMax) / Math.max(1, weight))
    limit = Math.max(1, Math.min(wanted, 4 * limit, IDENTITIES_MAX))
    if (!(yield* goOn(distinctIds))) return false
  }
  return true
})

/** Counts to the end. */
export const countAllPersons = (group: string, onCounted: (distinctIds: number) => void = () => undefined) =>
  countPersons(group, WEIGHT_MAX, (distinctIds) =>
    Effect.as(
      Effect.sync(() => onCounted(distinctIds)),
      true,
    ),
  )

const weightOf = (facts: KnownFacts): number => {
  let weight = 0
  for (const byKey of facts) {
    for (const fact of byKey.values()) for (const { points } of fact.values()) weight += 1 + points.times.length
  }
  return weight
}
