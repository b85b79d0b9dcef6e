import { Effect } from "effect"
import { isActivity } from "../../domain/event/Event.ts"
import { anonymousDistinctId, type DistinctId, userDistinctId } from "../../domain/identity/distinctId.ts"
import { type Identity, mergeBorder } from "../../domain/identity/persons.ts"
import { timedLabelsOf } from "../../domain/measure/Fact.ts"
import { Observations } from "../../domain/measure/Observations.ts"
import { cutSessions, sessionRules, sessions as sessionsMeasure } from "../../domain/measure/sessions.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { fieldReader } from "../../domain/metric/filter.ts"
import { BatchCursor } from "../../domain/projection/BatchCursor.ts"
import { eventKey } from "../../domain/measure/points.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { inTwoPhases } from "./inTwoPhases.ts"
import { BadQuery } from "./errors.ts"
import { ask, qualityOf, type Frame, frame } from "./frame.ts"
import type { RangeInput } from "./range.ts"
import { readExtents, scanLog } from "./scanLog.ts"

export interface UserAnswer extends Frame {
  readonly userId: string
  /** All distinct ids of the person, as `u:…` (user ids) and `a:…` (anonymous ids). */
  readonly distinctIds: ReadonlyArray<string>
  readonly totalEvents: number
  /** Days with at least one event. */
  readonly uniqueDays: number
  readonly sessionCount: number
  readonly featureUsage: Readonly<Record<string, number>>
  readonly pageViews: number
  readonly clicks: number
  readonly purchases: number
  readonly firstSeen: string | null
  readonly lastSeen: string | null
}

const askUser = Effect.fnUntraced(function* (id: string, input: RangeInput = {}) {
  const question = yield* ask(input)
  const { zone, range, settings } = question
  const rows = yield* rowsOfPerson(id)
  const about = frame({ name: "user", version: 1 }, question, [], yield* qualityOf(range))
  const extents = yield* readExtents(null)
  const mine = new Map<DistinctId, Array<Identity>>()
  for (const row of rows) mine.set(row.distinctId, [...(mine.get(row.distinctId) ?? []), row])

  /** Whether an event of a distinct id is this person's: a device's older part may be somebody else's. */
  const isMine = (distinctId: DistinctId, time: number): boolean =>
    mine.get(distinctId)?.some((row) => {
      return time >= mergeBorder(row.link, settings.mergeWindowMillis)
    }) === true

  const count = Effect.gen(function* () {
    const readFeature = fieldReader("properties.feature_name")
    const { formula } = BUILTIN_METRICS.sessions
    const measure = sessionsMeasure(BUILTIN_METRICS.sessions, formula, zone)
    const timeline = new Observations()
    const days = new Set<number>()
    const featureUsage = new Map<string, number>()
    const counts = new Map<string, number>()
    let totalEvents = 0
    let firstSeen = Number.POSITIVE_INFINITY
    let lastSeen = Number.NEGATIVE_INFINITY
    yield* scanLog(extents, (partition, sequence, batch, leftOut) => {
      const users = batch.users.map((name) => mine.has(userDistinctId(name)))
      const devices = batch.anonymous.map((name) => mine.has(anonymousDistinctId(name)))
      if (!users.includes(true) && !devices.includes(true)) return
      const cursor = new BatchCursor(batch)
      for (let place = 0; place < batch.count; place++) {
        const userIndex = batch.userIndex(place)
        const time = batch.times[place]!
        const attributed =
          userIndex >= 0
            ? users[userIndex] === true
            : devices[batch.anonymousIndex(place)] === true &&
              isMine(anonymousDistinctId(batch.anonymous[batch.anonymousIndex(place)]!), time)
        const day = zone.dayOf(time)
        if (!attributed || leftOut.has(place) || !isActivity(batch.kind(place))) continue
        cursor.moveTo(place)
        const { label } = measure.observe(cursor)!
        timeline.addPoint(0, "", day, time, eventKey(partition, sequence, place), label)
        if (day < range.from || day > range.to) continue
        totalEvents++
        days.add(day)
        firstSeen = Math.min(firstSeen, time)
        lastSeen = Math.max(lastSeen, time)
        counts.set(cursor.name, (counts.get(cursor.name) ?? 0) + 1)
        if (cursor.name === "feature_used") {
          const feature = readFeature(cursor)
          if (feature !== undefined) featureUsage.set(String(feature), (featureUsage.get(String(feature)) ?? 0) + 1)
        }
      }
    })
    // Cut over the whole timeline, and counted by the day of their start, as everywhere.
    const sessions = cutSessions(timedLabelsOf(timeline.factOf(0)), sessionRules(formula), zone).filter(({ start }) => {
      const day = zone.dayOf(start)
      return day >= range.from && day <= range.to
    })
    return {
      ...about,
      userId: id,
      distinctIds: [...mine.keys()],
      totalEvents,
      uniqueDays: days.size,
      sessionCount: sessions.length,
      featureUsage: Object.fromEntries([...featureUsage].sort((a, b) => b[1] - a[1])),
      pageViews: counts.get("page_view") ?? 0,
      clicks: counts.get("click") ?? 0,
      purchases: counts.get("purchase") ?? 0,
      firstSeen: totalEvents === 0 ? null : formatInstant(firstSeen),
      lastSeen: totalEvents === 0 ? null : formatInstant(lastSeen),
    } satisfies UserAnswer
  })
  return { count }
})

/** What one person did, all its ids together: a user id, or else an anonymous id, or either as answers print them. */
export const user = inTwoPhases(askUser)

const rowsOfPerson = Effect.fnUntraced(function* (id: string) {
  const queries = yield* ReadModelQueries
  // The last as answers print ids, `u:…` and `a:…`.
  for (const distinctId of [userDistinctId(id), anonymousDistinctId(id), id as DistinctId]) {
    const rows = yield* queries.personOf(distinctId)
    if (rows.length > 0) return rows
  }
  return yield* new BadQuery({
    problem: `No event names the user id or anonymous id "${id}".`,
    remedy: "Ids are compared letter by letter; check the spelling and the case.",
  })
})
