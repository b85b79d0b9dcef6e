import type { Event } from "../event/Event.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import { Cells, type CellKey } from "./Cells.ts"
import { compareCodePoints } from "./codePoints.ts"
import { durationMillis } from "./durationText.ts"
import { scalarAt } from "./field.ts"
import { passes } from "./filter.ts"
import type { LocalCalendar } from "./LocalCalendar.ts"

type SessionsFormula = Extract<MetricDefinition["formula"], { kind: "sessions" }>

/**
 * The sessions of one person's events, each in order of time (docs/reference/semantics.md, Sessions): a client's session id groups
 * whatever the pauses; events without one are cut by pauses among themselves.
 */
const sessionsOf = (
  events: ReadonlyArray<Event>,
  formula: SessionsFormula,
  calendar: LocalCalendar,
): ReadonlyArray<ReadonlyArray<Event>> => {
  const gapMillis = durationMillis(formula.gap ?? "30m")
  const sessions: Array<Array<Event>> = []
  for (const [sessionId, group] of Map.groupBy(events, (event) => event.sessionId)) {
    const gapCuts = sessionId === null || formula.grouping === "both"
    let session: Array<Event> = []
    for (const event of group.toSorted((left, right) => left.time - right.time)) {
      const previous = session.at(-1)
      const cut =
        previous === undefined ||
        (gapCuts && event.time - previous.time > gapMillis) ||
        (formula.midnightCut === true && calendar.dayOf(event.time) !== calendar.dayOf(previous.time))
      if (cut) {
        session = []
        sessions.push(session)
      }
      session.push(event)
    }
  }
  return sessions
}

const PAGE_FIELDS = ["properties.path", "properties.url", "properties.page_name", "properties.screen_name"]

const pageOf = (event: Event): string | undefined => {
  const isView =
    event.kind === "page" || event.kind === "screen" || event.name === "page_view" || event.name === "screen_view"
  if (!isView) return undefined
  const page = PAGE_FIELDS.map((field) => scalarAt(event, field)).find((value) => value !== undefined)
  return page === undefined ? undefined : String(page)
}

/** The pages of the session's views at the earliest (or latest) instant that has any. */
const pagesAt = (session: ReadonlyArray<Event>, end: "first" | "last"): ReadonlyArray<string> => {
  const views = session.filter((event) => pageOf(event) !== undefined)
  const time = end === "first" ? views[0]?.time : views.at(-1)?.time
  return views
    .filter((event) => event.time === time)
    .map((event) => pageOf(event)!)
    .sort(compareCodePoints)
}

/** docs/reference/semantics.md, Sessions: "Per day of start: sessions, persons, duration, bounce rate, events, entry and exit page". */
export const sessionCells = (
  persons: ReadonlyArray<ReadonlyArray<Event>>,
  metric: MetricDefinition,
  formula: SessionsFormula,
  calendar: LocalCalendar,
): ReadonlyMap<CellKey, number | string> => {
  const cells = new Cells()
  for (const events of persons) {
    const qualifying = events.filter((event) => passes(event, metric.filter))
    const daysWithStart = new Set<string>()
    for (const session of sessionsOf(qualifying, formula, calendar)) {
      const first = session[0]!
      const day = calendar.dayOf(first.time)
      const duration = session.at(-1)!.time - first.time
      daysWithStart.add(day)
      cells.add(day, "", "sessions", 1)
      cells.add(day, "", "events", session.length)
      cells.add(day, "", "duration_ms", duration)
      cells.add(day, "", "bounces", session.length === 1 ? 1 : 0)
      cells.add(day, String(duration), "duration", 1)
      const entryPage = pagesAt(session, "first")[0]
      const exitPage = pagesAt(session, "last").at(-1)
      if (entryPage !== undefined) cells.add(day, entryPage, "entries", 1)
      if (exitPage !== undefined) cells.add(day, exitPage, "exits", 1)
    }
    for (const day of daysWithStart) cells.add(day, "", "persons", 1)
  }
  return cells.values()
}
