import { Effect } from "effect"
import { eventsNamed } from "../../domain/metric/eventsNamed.ts"
import { unseenEvents } from "../query/unseenEvents.ts"
import type { DefinitionProblem } from "./BadDefinition.ts"
import { pathOf, problemIn } from "./checkFiles.ts"
import type { FoundDefinition } from "./readDefinitions.ts"

/** Events that definitions name and the store has never seen: maybe slips, maybe events that are still to come. */
export const warnOfUnseen = Effect.fnUntraced(function* (found: ReadonlyArray<FoundDefinition>) {
  const warnings: Array<DefinitionProblem> = []
  for (const one of found) {
    const named = eventsNamed(one.definition)
    const unseen = yield* unseenEvents(
      named.map(({ event }) => event),
      one.definition.renamed,
    )
    const nearestOf = new Map(unseen.map((it) => [it.event, it.nearest]))
    for (const { path, event } of named) {
      const nearest = nearestOf.get(event)
      if (nearest === undefined) continue
      const hint = nearest === null ? "." : `; did you mean "${nearest}"?`
      warnings.push(problemIn(one, pathOf(path), `${path}: no event named "${event}" is stored${hint}`))
    }
  }
  return warnings
})
