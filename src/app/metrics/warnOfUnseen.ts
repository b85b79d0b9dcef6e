import { Effect } from "effect"
import { eventsNamed } from "../../domain/metric/eventsNamed.ts"
import { unseenEvents } from "../query/unseenEvents.ts"
import { pathOf, problemIn } from "./checkFiles.ts"
import type { FoundDefinition } from "./readDefinitions.ts"

/** Events that definitions name and the store has never seen: maybe slips, maybe events that are still to come. */
export const warnOfUnseen = Effect.fnUntraced(function* (found: ReadonlyArray<FoundDefinition>) {
  const named = found.flatMap((one) => eventsNamed(one.definition).map((event) => ({ one, ...event })))
  const unseen = new Map((yield* unseenEvents(named.map(({ event }) => event))).map((it) => [it.event, it.nearest]))
  return named.flatMap(({ one, path, event }) => {
    const nearest = unseen.get(event)
    if (nearest === undefined) return []
    const hint = nearest === null ? "." : `; did you mean "${nearest}"?`
    return [problemIn(one, pathOf(path), `${path}: no event named "${event}" is stored${hint}`)]
  })
})
