import type { Event } from "../event/Event.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import { Cells, type CellKey } from "./Cells.ts"
import { scalarAt } from "./field.ts"
import { passes } from "./filter.ts"
import type { LocalCalendar } from "./LocalCalendar.ts"
import type { People } from "./people.ts"

/**
 * Where an event counts in a metric: under the value of the breakdown (without one: `""`). `undefined` when it does not
 * pass the filter or its breakdown is not set.
 */
const itemOf = (event: Event, { filter, breakdown }: MetricDefinition): string | undefined => {
  if (!passes(event, filter)) return undefined
  if (breakdown === undefined) return ""
  const value = scalarAt(event, breakdown)
  return value === undefined ? undefined : String(value)
}

const daysBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 86_400_000

/**
 * docs/reference/semantics.md, Active users: persons with at least one qualifying event on a day, "under every value they had"; and how long
 * before they last had one, under the same value.
 */
export const activeUserCells = (
  people: People,
  metric: MetricDefinition,
  calendar: LocalCalendar,
): ReadonlyMap<CellKey, number | string> => {
  const cells = new Cells()
  for (const events of people.events) {
    const seen = new Map<string, Set<string>>()
    for (const event of events) {
      const item = itemOf(event, metric)
      if (item === undefined) continue
      const day = calendar.dayOf(event.time)
      cells.add(day, item, "events", 1)
      const seenOnDay = seen.get(day) ?? new Set()
      seen.set(day, seenOnDay.add(item))
    }
    const before = new Map<string, string>()
    for (const day of [...seen.keys()].sort()) {
      for (const item of seen.get(day)!) {
        cells.add(day, item, "users", 1)
        const last = before.get(item)
        cells.add(day, item, last === undefined ? "new" : `again:${daysBetween(last, day)}`, 1)
        before.set(item, day)
      }
    }
  }
  for (const event of people.personless) {
    const item = itemOf(event, metric)
    if (item !== undefined) cells.add(calendar.dayOf(event.time), item, "events", 1)
  }
  return cells.values()
}

/** Events a day, whoever's. */
export const eventCountCells = (
  events: ReadonlyArray<Event>,
  metric: MetricDefinition,
  calendar: LocalCalendar,
): ReadonlyMap<CellKey, number | string> => {
  const cells = new Cells()
  for (const event of events) {
    const item = itemOf(event, metric)
    if (item !== undefined) cells.add(calendar.dayOf(event.time), item, "events", 1)
  }
  return cells.values()
}

/**
 * docs/reference/semantics.md, Counting: sums "take finite JSON numbers only; anything else is ignored and counted as `not-a-number`";
 * currencies never mix.
 */
export const propertySumCells = (
  events: ReadonlyArray<Event>,
  metric: MetricDefinition,
  formula: Extract<MetricDefinition["formula"], { kind: "property-sum" }>,
  calendar: LocalCalendar,
): ReadonlyMap<CellKey, number | string> => {
  const cells = new Cells()
  for (const event of events) {
    const item = itemOf(event, metric)
    if (item === undefined) continue
    const day = calendar.dayOf(event.time)
    const value = scalarAt(event, formula.property)
    if (typeof value !== "number" || !Number.isFinite(value)) {
      cells.add(day, item, "not-a-number", 1)
      continue
    }
    const currency = formula.currency === undefined ? "" : `:${scalarAt(event, formula.currency) ?? ""}`
    cells.addExactly(day, item, `sum${currency}`, value)
    cells.add(day, item, `count${currency}`, 1)
  }
  return cells.values()
}
