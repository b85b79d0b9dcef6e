import { Effect } from "effect"
import type { DistinctId } from "../identity/distinctId.ts"
import { compileMeasure } from "../measure/compile.ts"
import type { Measure } from "../measure/Measure.ts"
import { TimeZone } from "../time/TimeZone.ts"
import { changeCells } from "./changeCells.ts"
import { changeFacts, type CutRules } from "./changeFacts.ts"
import { type CountedRange, countsSome } from "./counted.ts"
import { factsNeeded } from "./factsNeeded.ts"
import type { Fold, Gathered } from "./Fold.ts"
import type { KnownTables, Uncounted } from "./ReadModel.ts"
import type { KnownFacts, StepChanges } from "./StepChanges.ts"
import { type ResolvedIdentities, resolveIdentities, unchangedIdentities } from "./whoIsWho.ts"

/** A measure of a step. */
export interface Member {
  readonly id: number
  /** As in `StepMeasure`. */
  readonly follows: boolean
}

/**
 * Joins a fold with what the tables know: the second half of a step, inside its transaction. `members` are the fold's
 * measures, in order.
 */
export const settle = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  members: ReadonlyArray<Member>,
  rules: CutRules,
) {
  const { countedTo } = known
  const withOlderParts = countedTo.some(countsSome)
  const resolved = resolveIdentities(fold, yield* known.identities([...fold.gathered.keys()], withOlderParts))
  const needed = factsNeeded(
    fold,
    resolved,
    members.map(({ follows }, m) => ({ follows, countedTo: countedTo[m]! })),
  )
  const facts = yield* known.facts(members.map(({ id }, m) => ({ measure: id, keys: needed[m]! })))
  const counted = countedTo.map((to) => ({ from: to, to }))
  const changes = completed(fold.measures, fold.gathered, resolved, facts, counted, rules)
  return {
    ...changes,
    measures: changes.measures.map(({ facts, cells }, m) => ({
      facts,
      cells: [...fold.tallies[m]!.deltas(), ...cells],
    })),
  }
})

/** What counting more persons changes: a step that takes no events. */
export const settleUncounted = ({ settings, measures, counted, identities, facts }: Uncounted): StepChanges => {
  const zone = TimeZone.of(settings.timeZone)!
  return completed(
    measures.map(({ definition }) => compileMeasure(definition, zone)),
    NOTHING_GATHERED,
    unchangedIdentities(identities),
    facts,
    measures.map(() => counted),
    { mergeWindowMillis: settings.mergeWindowMillis, zone },
  )
}

const NOTHING_GATHERED: ReadonlyMap<DistinctId, Gathered> = new Map()

const completed = (
  measures: ReadonlyArray<Measure>,
  gathered: ReadonlyMap<DistinctId, Gathered>,
  resolved: ResolvedIdentities,
  known: KnownFacts,
  counted: ReadonlyArray<CountedRange>,
  rules: CutRules,
): StepChanges => {
  const facts = changeFacts(gathered, resolved, known, counted, rules)
  const cells = changeCells(measures, resolved, facts, counted)
  return {
    identities: [...facts.rows.values()].filter((row) => resolved.before.get(row.key) !== row),
    statements: resolved.statements,
    measures: facts.measures.map(({ changes }, m) => ({ facts: changes, cells: cells[m]! })),
  }
}
