import { Effect } from "effect"
import { anonymousDistinctId, type DistinctId, userDistinctId } from "../../domain/identity/distinctId.ts"
import { aliasStatementOf } from "../../domain/identity/links.ts"
import type { Batch } from "../../domain/log/batch.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import { BatchCursor } from "../../domain/projection/BatchCursor.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import { type Extent, scanLog } from "../query/scanLog.ts"
import type { Attribution, Person } from "./attribution.ts"
import { type CellKey, type Contribution, makeRoles, type Role } from "./contributors.ts"

/** Events, persons and merges that are listed one by one, of each kind; all are counted. */
export const LISTED_MAX = 50

/** An event, and where it stands in the log. */
export interface ListedEvent {
  /** Partition and sequence of its batch: `0/17`. */
  readonly batch: string
  /** In its batch, from 0. */
  readonly place: number
  readonly id: string
  readonly name: string
  readonly time: string
  readonly receivedAt: string | null
  /** Log time. */
  readonly loggedAt: string
}

/** An event behind a number. */
export interface EventBehind extends ListedEvent {
  /** It reached the log after the day was over. */
  readonly late: boolean
  /** `false` for a repeat, and for an event that was isolated: they add nothing. */
  readonly counts: boolean
}

/** An event that said who is who. */
export interface Merge extends ListedEvent {
  /** `link`: the device is the user's; `alias`: both users are one; `unalias`: they are not. */
  readonly kind: "link" | "alias" | "unalias"
  readonly ids: readonly [DistinctId, DistinctId]
}

/** Some of many. */
export interface Listed<A> {
  readonly count: number
  readonly listed: ReadonlyArray<A>
}

/** Counts all that is added, and keeps the first. */
class Collected<A> {
  readonly #listed: Array<A> = []
  #count = 0

  add(make: () => A): void {
    this.#count++
    if (this.#listed.length < LISTED_MAX) this.#listed.push(make())
  }

  get result(): Listed<A> {
    return { count: this.#count, listed: this.#listed }
  }
}

/** Walks the log for the events behind a cell, and for what changed it since its day was over. */
export const findEvidence = Effect.fnUntraced(function* (
  measure: Measure,
  cell: CellKey,
  extents: ReadonlyArray<Extent>,
  attribution: Attribution,
  zone: TimeZone,
  contributions: ReadonlyMap<Person, Contribution>,
) {
  const roleOf = makeRoles(measure, cell, zone)
  const dayOver = zone.startOfDay(cell.day + 1)
  const events = new Collected<EventBehind>()
  const late = new Collected<ListedEvent>()
  const merges = new Collected<Merge>()
  let repeats = 0
  const logTimes = new Map<number, number>()
  /** Devices whose deciding link was met: what says it again, or at the same instant, changes nothing. */
  const linked = new Set<DistinctId>()

  /** Whether an event adds to the cell, or to what its person adds. */
  const isBehind = (person: Person, role: Role, time: number): boolean => {
    if (role.tallied.digits !== 0n) return true
    if (role.value === null) return false
    if (measure.definition.breakdown !== undefined && role.value !== cell.item) return false
    return contributions.get(person)?.stretches.some(({ from, to }) => time >= from && time <= to) === true
  }

  const take = (partition: number, sequence: number, batch: Batch, leftOut: ReadonlySet<number>): void => {
    const logTime = Math.max(logTimes.get(partition) ?? 0, batch.origin.loggedAt)
    logTimes.set(partition, logTime)
    const cursor = new BatchCursor(batch)
    const describe = (place: number): ListedEvent => {
      const receivedAt = batch.receivedAt(place)
      return {
        batch: `${partition}/${sequence}`,
        place,
        id: batch.ids[place]!,
        name: batch.names[batch.nameIndex(place)]!,
        time: formatInstant(batch.times[place]!),
        receivedAt: receivedAt === null ? null : formatInstant(receivedAt),
        loggedAt: formatInstant(logTime),
      }
    }
    const isLate = logTime >= dayOver
    for (let place = 0; place < batch.count; place++) {
      cursor.moveTo(place)
      const counts = !leftOut.has(place)
      const merge = counts ? mergeOf(cursor) : null
      if (isLate && merge !== null) merges.add(() => ({ ...describe(place), ...merge }))
      const role = roleOf(cursor)
      if (role === null || !isBehind(attribution.ofEvent(batch, place), role, cursor.time)) continue
      if (!counts) repeats++
      else if (isLate) late.add(() => describe(place))
      events.add(() => ({ ...describe(place), late: isLate, counts }))
    }
  }

  const isOfThem = (distinctId: DistinctId): boolean => contributions.has(attribution.ofId(distinctId))

  /** What an event says of who the persons behind the cell are. */
  const mergeOf = (event: BatchCursor): Pick<Merge, "kind" | "ids"> | null => {
    const statement = aliasStatementOf(event)
    if (statement !== null) {
      const ids = [userDistinctId(statement.first), userDistinctId(statement.second)] as const
      return ids.some(isOfThem) ? { kind: statement.joined ? "alias" : "unalias", ids } : null
    }
    if (event.userId === null || event.anonymousId === null) return null
    const device = anonymousDistinctId(event.anonymousId)
    if (!attribution.decides(device, event.userId, event.time) || !isOfThem(device) || linked.has(device)) return null
    linked.add(device)
    return { kind: "link", ids: [device, userDistinctId(event.userId)] }
  }

  yield* scanLog(extents, take)
  return {
    dayOver,
    events: { ...events.result, repeats },
    late: late.result,
    merges: merges.result,
  }
})
