import type { Event } from "../event/Event.ts"
import type { Json, JsonObject } from "../event/json.ts"

/** An event with its place in the log. All events of a partition come in log order. */
export interface OracleInput {
  readonly event: Event
  readonly partition: number
  /** When the log took it, ms. */
  readonly loggedAt: number
}

export interface Deduped {
  /** The events that count. */
  readonly events: ReadonlyArray<Event>
  readonly duplicates: number
  /** Duplicates whose content differs from the counted copy's. */
  readonly conflicts: number
}

/**
 * Drops duplicates (docs/reference/semantics.md, Counting): an event is one iff the same id was counted in its
 * partition within the horizon of log time before it. Duplicates that were dropped do not extend the horizon.
 */
export const dedupe = (input: ReadonlyArray<OracleInput>, horizonMillis: number | null): Deduped => {
  const lastCounted = new Map<number, Map<string, OracleInput>>()
  const events: Array<Event> = []
  let duplicates = 0
  let conflicts = 0
  for (const logged of input) {
    let ofPartition = lastCounted.get(logged.partition)
    if (ofPartition === undefined) {
      ofPartition = new Map()
      lastCounted.set(logged.partition, ofPartition)
    }
    // The copy counted last is the latest in log time too: a copy counts only beyond the horizon of all before it.
    const counted = ofPartition.get(logged.event.id)
    if (counted !== undefined && (horizonMillis === null || counted.loggedAt >= logged.loggedAt - horizonMillis)) {
      duplicates++
      if (!sameContent(counted.event, logged.event)) conflicts++
      continue
    }
    ofPartition.set(logged.event.id, logged)
    events.push(logged.event)
  }
  return { events, duplicates, conflicts }
}

const sameContent = (left: Event, right: Event): boolean =>
  left.name === right.name &&
  left.kind === right.kind &&
  left.userId === right.userId &&
  left.anonymousId === right.anonymousId &&
  left.sessionId === right.sessionId &&
  left.time === right.time &&
  sameJson(left.body, right.body)

/** Whether two JSON values are one value; the order of an object's keys means nothing. */
const sameJson = (left: Json, right: Json): boolean => {
  if (typeof left !== "object" || left === null || typeof right !== "object" || right === null) return left === right
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const leftKeys = Object.keys(left)
  return (
    leftKeys.length === Object.keys(right).length &&
    leftKeys.every(
      (key) => Object.hasOwn(right, key) && sameJson((left as JsonObject)[key]!, (right as JsonObject)[key]!),
    )
  )
}
