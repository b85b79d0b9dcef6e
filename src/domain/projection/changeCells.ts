import { EMPTY_FACT, type Fact, joinFacts } from "../measure/Fact.ts"
import type { Measure } from "../measure/Measure.ts"
import { type Identity, olderPartOf } from "../identity/persons.ts"
import type { CellChanges } from "./CellSums.ts"
import type { FactChanges } from "./changeFacts.ts"
import { type CountedRange, isCounted, NOBODY } from "./counted.ts"
import type { ResolvedIdentities } from "./whoIsWho.ts"

/**
 * How every cell changes with the facts, `Δcell = Σ over touched persons of contribute(after) − contribute(before)`
 * (docs/explanation/the-algebra.md), where a person that isn't counted contributes nothing: added to the changes of each measure.
 */
export const changeCells = (
  measures: ReadonlyArray<Measure>,
  resolved: ResolvedIdentities,
  { rows, measures: facts }: FactChanges,
  counted: ReadonlyArray<CountedRange>,
  cells: ReadonlyArray<CellChanges>,
): void => {
  const membersBefore = Map.groupBy(resolved.before.values(), ({ person }) => person)
  const membersAfter = Map.groupBy(rows.values(), ({ person }) => person)
  const personBefore = (key: number): number | undefined => resolved.before.get(key)?.person
  const personAfter = (key: number): number => rows.get(key)!.person
  for (const [m, measure] of measures.entries()) {
    const { before, after, recut } = facts[m]!
    const { from, to } = counted[m]!
    if (to === NOBODY) continue
    /** Persons that gained or lost what was known of others. Those who are new are just their events. */
    const merged = new Set(Array.from(recut, personAfter))
    for (const key of resolved.moved) {
      if (before.has(key) || before.has(olderPartOf(key))) merged.add(personAfter(key)).add(personBefore(key)!)
    }
    const touched = new Set(merged)
    if (from !== to) for (const person of membersAfter.keys()) touched.add(person)
    for (const key of after.keys()) {
      touched.add(personAfter(key))
      const person = personBefore(key)
      if (person !== undefined) touched.add(person)
    }
    const factBefore = (key: number): Fact => before.get(key) ?? EMPTY_FACT
    const factAfter = (key: number): Fact => after.get(key) ?? factBefore(key)
    const { gained, moved } = cells[m]!
    for (const person of touched) {
      const sums = merged.has(person) ? moved : gained
      const was = isCounted(from, person) ? joinAll(membersBefore.get(person), factBefore) : EMPTY_FACT
      const is = isCounted(to, person) ? joinAll(membersAfter.get(person), factAfter) : EMPTY_FACT
      measure.contributeChange(was, is, sums.subtract, sums.add)
    }
  }
}

const joinAll = (members: ReadonlyArray<Identity> | undefined, factOf: (key: number) => Fact): Fact =>
  (members ?? []).reduce((joined, { key }) => joinFacts(joined, factOf(key)), EMPTY_FACT)
