import { Effect } from "effect"
import { completeStep, factsNeeded, resolveIdentities } from "../../domain/projection/completeStep.ts"
import type { Fold } from "../../domain/projection/Fold.ts"
import type { KnownTables } from "../../domain/projection/ReadModel.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import type { Group } from "./groups.ts"

/** Tables of which nothing is known: what a step comes to by itself. */
export const NOTHING_KNOWN: KnownTables = {
  identities: (distinctIds) =>
    Effect.succeed({ rows: [], statements: [], newKeys: Array.from(distinctIds, (_, n) => n + 1) }),
  facts: (measures) => Effect.succeed(measures.map(() => new Map())),
}

/** Joins a fold with what the read model knows: the second half of a step, inside its transaction. */
export const settle = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  group: Group,
  mergeWindowMillis: number | null,
  zone: TimeZone,
) {
  const resolved = resolveIdentities(fold, yield* known.identities([...fold.gathered.keys()]))
  const measures = group.measures.map(
    ({ id, measure, follows }) => ({ id, reach: follows ? "none" : measure.reach }) as const,
  )
  const facts = yield* known.facts(measures, factsNeeded(fold, resolved))
  return completeStep(fold, resolved, facts, mergeWindowMillis, zone)
})
