import type { Event } from "../event/Event.ts"
import type { Renames } from "../metric/definition.ts"
import { compareCodePoints } from "./codePoints.ts"

/** An event under the names that a metric gives it. */
export interface SeenEvent extends Event {
  /** Property → what it was called before, the first to look at first. */
  readonly formerNames?: ReadonlyMap<string, ReadonlyArray<string>>
}

/** The events as a metric sees them: what it says was renamed has the new name (docs/reference/metrics.md, Renames). */
export const seenBy = (
  { renamed }: { readonly renamed?: Renames | undefined },
  events: ReadonlyArray<Event>,
): ReadonlyArray<SeenEvent> => {
  if (renamed === undefined) return events
  const names = new Map(Object.entries(renamed.events ?? {}))
  const properties = Object.entries(renamed.properties ?? {}).sort(([a], [b]) => compareCodePoints(a, b))
  const formerNames = new Map(
    [...Map.groupBy(properties, ([, now]) => now)].map(([now, pairs]) => [now, pairs.map(([before]) => before)]),
  )
  return events.map((event) => ({ ...event, name: names.get(event.name) ?? event.name, formerNames }))
}
