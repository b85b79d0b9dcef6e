import { Effect } from "effect"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { PersonCount } from "../../domain/projection/PersonCount.ts"
import { ReadModel, type Uncounted } from "../../domain/projection/ReadModel.ts"
import type { KnownFacts } from "../../domain/projection/StepChanges.ts"

/** Identities in the first portion; how much their facts hold says how many are in the next. */
const IDENTITIES_FIRST = 50
const IDENTITIES_MAX = 10_000

/** How much is counted at once, in days and moments, about. */
export interface CountBounds {
  /** What is in memory at once. */
  readonly portion: number
  /**
   * What a transaction reads, portion by portion: it writes each cell once, and steps of the same measures wait for it, which
   * they do for ten seconds (`lock_timeout`).
   */
  readonly transaction: number
}

/** Where nobody waits for the transaction, and memory is no worker's. */
const ALONE: CountBounds = { portion: 200_000, transaction: 1_000_000 }

/**
 * Counts all persons of a group whose facts were only gathered so far, some in each transaction; does nothing when everybody
 * is counted. After each transaction it asks whether to go on, saying how many distinct ids it has counted; gives whether
 * everybody is counted. Any number of these may run at once.
 */
export const countPersons = Effect.fn("countPersons")(function* (
  group: string,
  bounds: CountBounds,
  goOn: (distinctIds: number) => Effect.Effect<boolean, ReadModelUnavailable>,
) {
  const readModel = yield* ReadModel
  let limit = IDENTITIES_FIRST
  let distinctIds = 0
  for (;;) {
    let next = limit
    let counted = 0
    /** Anew when the transaction is made again. */
    const begin = () => {
      let read = 0
      next = limit
      counted = 0
      return new PersonCount(({ facts, identities }: Uncounted) => {
        const weight = weightOf(facts)
        read += weight
        counted += identities.length
        const wanted = Math.floor((next * bounds.portion) / Math.max(1, weight))
        next = Math.max(1, Math.min(wanted, 4 * next, IDENTITIES_MAX))
        return read + bounds.portion <= bounds.transaction ? next : 0
      })
    }
    const through = yield* readModel.countNext(group, limit, begin)
    limit = next
    distinctIds += counted
    const goesOn = counted === 0 || (yield* goOn(distinctIds))
    if (through) return true
    if (!goesOn) return false
  }
})

/** Counts to the end. */
export const countAllPersons = (group: string, onCounted: (distinctIds: number) => void = () => undefined) =>
  countPersons(group, ALONE, (distinctIds) =>
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
