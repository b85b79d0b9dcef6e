import { Effect } from "effect"
import { CellChanges } from "./CellSums.ts"
import { changeCells } from "./changeCells.ts"
import { changedIdentities, changeFacts, type CutRules } from "./changeFacts.ts"
import { countsSome, NOBODY } from "./counted.ts"
import { factsNeeded } from "./factsNeeded.ts"
import type { Fold } from "./Fold.ts"
import type { KnownTables } from "./ReadModel.ts"
import { settleUncounted } from "./settleUncounted.ts"
import type { StepChanges } from "./StepChanges.ts"
import { resolveIdentities } from "./whoIsWho.ts"

/** A measure of a step. */
export interface Member {
  readonly id: number
  /** As in `StepMeasure`. */
  readonly follows: boolean
}

/**
 * Joins a fold with what the tables know: the second half of a step, inside its transaction. `members` are the fold's
 * measures, in order; `keys` those of its distinct ids, where they have them already, as `ReadModel.keysOf` gives them.
 */
export const settle = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  members: ReadonlyArray<Member>,
  rules: CutRules,
  keys: ReadonlyArray<number> | null,
) {
  const { countedTo } = known
  if (keys !== null && countedTo.every((to) => to === NOBODY)) return yield* settleUncounted(fold, known, keys)

  const withOlderParts = countedTo.some(countsSome)
  const resolved = resolveIdentities(fold, yield* known.identities([...fold.gathered.keys()], withOlderParts))
  const needed = factsNeeded(
    fold,
    resolved,
    members.map(({ follows }, m) => ({ follows, countedTo: countedTo[m]! })),
  )
  const facts = yield* known.facts(members.map(({ id }, m) => ({ measure: id, keys: needed[m]! })))
  const counted = countedTo.map((to) => ({ from: to, to }))
  const changed = changeFacts(fold.gathered, resolved, facts, counted, rules)
  const cells = members.map(() => new CellChanges())
  changeCells(fold.measures, resolved, changed, counted, cells)
  return {
    identities: changedIdentities(changed, resolved),
    statements: resolved.statements,
    measures: changed.measures.map(({ changes }, m) => ({
      facts: changes,
      cells: [...fold.tallies[m]!.deltas(), ...cells[m]!.deltas()],
    })),
  } satisfies StepChanges
})
