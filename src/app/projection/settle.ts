import { Effect } from "effect"
import { completeStep, factsNeeded, resolveIdentities } from "../../domain/projection/completeStep.ts"
import { EVERYBODY, NOBODY } from "../../domain/projection/counting.ts"
import type { Fold } from "../../domain/projection/Fold.ts"
import type { KnownTables } from "../../domain/projection/ReadModel.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import type { Group } from "./groups.ts"

/** Tables of which nothing is known, and that count everybody: what a step comes to by itself. */
export const NOTHING_KNOWN: KnownTables = {
  marks: (measures) => Effect.succeed(measures.map(() => EVERYBODY)),
  identities: (distinctIds) =>
    Effect.succeed({ rows: [], statements: [], newKeys: Array.from(distinctIds, (_, n) => n + 1) }),
  facts: (needs) => Effect.succeed(needs.map(() => new Map())),
}

/** Joins a fold with what the read model knows: the second half of a step, inside its transaction. */
export const settle = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  group: Group,
  mergeWindowMillis: number | null,
  zone: TimeZone,
) {
  const marks = yield* known.marks(group.measures.map(({ id }) => id))
  const someCounted = marks.some((mark) => mark !== NOBODY && mark !== EVERYBODY)
  const resolved = resolveIdentities(fold, yield* known.identities([...fold.gathered.keys()], someCounted))
  const measures = group.measures.map(({ follows }, m) => ({ follows, mark: marks[m]! }))
  const needed = factsNeeded(fold, resolved, measures)
  const facts = yield* known.facts(group.measures.map(({ id }, m) => ({ measure: id, keys: needed[m]! })))
  const counting = marks.map((mark) => ({ from: mark, to: mark }))
  return completeStep(fold, resolved, facts, counting, mergeWindowMillis, zone)
})
