import { Effect } from "effect"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { completeStep, type KnownFacts, unchangedIdentities } from "../../domain/projection/completeStep.ts"
import { Fold } from "../../domain/projection/Fold.ts"
import { ReadModel, type Uncounted } from "../../domain/projection/ReadModel.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"

/** Identities in the first transaction; how much their facts hold says how many are in the next. */
const IDENTITIES_FIRST = 500
const IDENTITIES_MAX = 10_000

/** Days and moments in memory at once, about: so steps of measures that are being counted wait for a second or two. */
const WEIGHT_MAX = 500_000

/**
 * Counts all persons of a group whose facts were only gathered so far, some in each transaction; does nothing when everybody
 * is counted. After each transaction it asks whether to go on; gives whether everybody is counted. Any number of these may
 * run at once.
 */
export const countPersons = Effect.fn("countPersons")(function* (group: string, goOn: Effect.Effect<boolean>) {
  const readModel = yield* ReadModel
  let limit = IDENTITIES_FIRST
  let weight = 0
  const settle = (uncounted: Uncounted) => {
    weight = weightOf(uncounted.facts)
    return settleUncounted(uncounted)
  }
  while (!(yield* readModel.countOn(group, limit, settle))) {
    const wanted = Math.floor((limit * WEIGHT_MAX) / Math.max(1, weight))
    limit = Math.max(1, Math.min(wanted, 4 * limit, IDENTITIES_MAX))
    if (!(yield* goOn)) return false
  }
  return true
})

/** Counts to the end. */
export const countAllPersons = (group: string) => countPersons(group, Effect.succeed(true))

const weightOf = (facts: KnownFacts): number => {
  let weight = 0
  for (const byKey of facts) {
    for (const fact of byKey.values()) for (const { points } of fact.values()) weight += 1 + points.times.length
  }
  return weight
}

/** The second half of a step that takes no events and counts more persons than before. */
export const settleUncounted = ({ settings, measures, counting, identities, facts }: Uncounted) => {
  const zone = TimeZone.of(settings.timeZone)!
  const fold = new Fold(
    measures.map(({ definition }) => compileMeasure(definition, zone)),
    zone,
  )
  const resolved = unchangedIdentities(identities)
  const each = measures.map(() => counting)
  return completeStep(fold, resolved, facts, each, settings.mergeWindowMillis, zone)
}
