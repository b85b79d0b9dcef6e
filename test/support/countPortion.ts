import { PersonCount } from "../../src/domain/projection/PersonCount.ts"
import type { PersonCounter, Uncounted } from "../../src/domain/projection/ReadModel.ts"
import type { StepChanges } from "../../src/domain/projection/StepChanges.ts"

/** A counter that lets no second portion come. */
export const onePortion = (): PersonCounter => new PersonCount(() => 0)

/** What a counter that takes one portion changes, as a step would. */
export const countPortion = (uncounted: Uncounted, counter: PersonCounter = onePortion()): StepChanges => {
  const { identities, facts } = counter.take(uncounted)
  const cells = counter.cells()
  return { identities, statements: [], measures: facts.map((changes, m) => ({ facts: changes, cells: cells[m]! })) }
}
