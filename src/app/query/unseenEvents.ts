import { Effect } from "effect"
import { boundedItem } from "../../domain/metric/boundedItem.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import type { Renames } from "../../domain/metric/definition.ts"
import { latestName } from "../../domain/metric/filter.ts"
import { nearest } from "../../domain/nearest.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"

/** What is recorded of a person, and no activity. */
const NO_ACTIVITY: ReadonlySet<string> = new Set(["identify", "alias", "group", "unalias"])

/** An event name that nothing was stored under. */
export interface UnseenEvent {
  readonly event: string
  /** The stored name that is spelled most like it. */
  readonly nearest: string | null
}

/**
 * Names of events that the store has never seen, also not under a name before: nearly always a slip. None while nothing is
 * stored, or not all of it is projected.
 */
export const unseenEvents = Effect.fnUntraced(function* (events: Iterable<string>, renamed?: Renames) {
  const queries = yield* ReadModelQueries
  const { name } = BUILTIN_METRICS.activeUsersByEvent
  const { whole, measures, stored } = yield* queries.standing
  const byEvent = measures.find(({ definition, state }) => state === "live" && definition.name === name)
  if (!whole || byEvent === undefined || stored === null) return []
  const names = (yield* queries.uniquesByValue(byEvent.id, stored)).keys()
  const seen = new Set(Array.from(names, (name) => boundedItem(latestName(name, renamed))))
  const unseen: Array<UnseenEvent> = []
  for (const event of new Set(events)) {
    const item = boundedItem(event)
    if (event === "*" || NO_ACTIVITY.has(event) || seen.has(item)) continue
    // What nobody did, such as a heartbeat of a server, is stored without persons.
    const cells = yield* queries.cells(byEvent.id, stored, { stats: ["events"], item })
    if (cells.length === 0) unseen.push({ event, nearest: nearest(event, [...seen]) })
  }
  return unseen
})
