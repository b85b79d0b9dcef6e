import { Effect } from "effect"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { completeStep, unchangedIdentities } from "../../domain/projection/completeStep.ts"
import { Fold } from "../../domain/projection/Fold.ts"
import { ReadModel, type Uncounted } from "../../domain/projection/ReadModel.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"

/** Identities whose facts are in memory at once, and for which steps of measures that are being counted wait. */
const IDENTITIES_MAX = 10_000

/**
 * Counts all persons of a group whose facts were only gathered so far, some in each transaction; does nothing when everybody
 * is counted. `onTurn` is run after each transaction. Any number of these may run at once.
 */
export const countPersons = Effect.fn("countPersons")(function* (group: string, onTurn: Effect.Effect<void>) {
  const readModel = yield* ReadModel
  while (!(yield* readModel.countOn(group, IDENTITIES_MAX, settleUncounted))) yield* onTurn
})

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
