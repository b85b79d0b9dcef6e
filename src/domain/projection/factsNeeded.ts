import { olderPartOf } from "../identity/persons.ts"
import { type CountedTo, EVERYBODY, isCounted, NOBODY } from "./counted.ts"
import type { Fold } from "./Fold.ts"
import type { ResolvedIdentities } from "./whoIsWho.ts"

/** A measure as a step has to do with it. */
export interface StepMeasure {
  /** Whether the step folds no events into it, and only moves what persons contribute when they turn out to be others. */
  readonly follows: boolean
  readonly countedTo: CountedTo
}

/**
 * Whose facts the second half of the step needs, for each measure: those of every member of every person that is counted
 * and gains observations or members. Measures that need the same have the same list.
 */
export const factsNeeded = (
  fold: Fold,
  resolved: ResolvedIdentities,
  measures: ReadonlyArray<StepMeasure>,
): ReadonlyArray<ReadonlyArray<number>> => {
  const changed = new Set<number>()
  const gaining = new Set<number>()
  const relinked = new Set([...resolved.relinked].map((key) => resolved.rows.get(key)!.distinctId))
  for (const row of resolved.rows.values()) {
    const gains = fold.gathered.get(row.distinctId)?.gains === true
    const becomesAnother = resolved.moved.has(row.key) || relinked.has(row.distinctId)
    if (!gains && !becomesAnother) continue
    const persons = becomesAnother ? changed : gaining
    persons.add(row.person)
    persons.add(resolved.before.get(row.key)?.person ?? row.person)
  }
  const needOf = ({ follows, countedTo }: StepMeasure): ReadonlyArray<number> => {
    if (countedTo === NOBODY) return []
    const needed = new Set<number>()
    for (const [key, { person }] of resolved.before) {
      const after = resolved.rows.get(key)!.person
      const touched =
        changed.has(person) || changed.has(after) || (!follows && (gaining.has(person) || gaining.has(after)))
      if (!touched || !(isCounted(countedTo, person) || isCounted(countedTo, after))) continue
      needed.add(key)
      // Its device may be cut anew, whether or not the older part, a person by itself, is counted.
      if (countedTo !== EVERYBODY && resolved.before.has(olderPartOf(key))) needed.add(olderPartOf(key))
    }
    return [...needed]
  }
  const needs = new Map<string, ReadonlyArray<number>>()
  return measures.map((measure) => {
    const alike = `${measure.follows}|${measure.countedTo}`
    const need = needs.get(alike) ?? needOf(measure)
    needs.set(alike, need)
    return need
  })
}
