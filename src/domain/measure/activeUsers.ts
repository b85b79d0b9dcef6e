import type { MetricDefinition } from "../metric/definition.ts"
import { boundedItem } from "../metric/boundedItem.ts"
import { compileFilter, fieldReader, type ObservedEvent } from "../metric/filter.ts"
import type { Day } from "../time/calendar.ts"
import { daysOfMask, type Fact } from "./Fact.ts"
import type { Emit, Measure } from "./Measure.ts"

/** Persons that were never observed before this day. */
export const NEW_USERS = "new"

/** What statistics of persons that were observed before begin with; the number of days since then follows. */
export const AGAIN = "again:"

/** Statistic of the persons that were last observed so many days before. */
const againUsers = (days: number): string => `${AGAIN}${days}`

/**
 * The days since a person was observed before, as a statistic of this measure says it: `Infinity` for those that never
 * were, `null` for a statistic of something else.
 */
export const daysSinceBefore = (stat: string): number | null =>
  stat === NEW_USERS ? Number.POSITIVE_INFINITY : stat.startsWith(AGAIN) ? Number(stat.slice(AGAIN.length)) : null

/**
 * Persons a day (`users`) and events a day (`events`), for each value of the breakdown; and the persons of the day by when
 * each was observed before: never (`new`), or so many days ago (`again:N`).
 *
 * With these the distinct persons of any range of days are a sum of cells, and exact: in a range every person is counted
 * once, on the first of its days there, which is the one with the day before it outside the range.
 */
export const activeUsers = (definition: MetricDefinition): Measure => {
  const filter = compileFilter(definition.filter ?? {}, definition.renamed)
  const valueOf = breakdownReader(definition)
  return {
    definition,
    concerns: filter.named,
    keepsPoints: false,
    observe: (event) => {
      if (!filter.holds(event)) return null
      const value = valueOf(event)
      return value === undefined ? null : { value, label: "" }
    },
    contribute: (fact, emit) => {
      for (const [value, days] of daysByValue(fact)) emitMissing(value, days, NO_DAYS, emit)
    },
    contributeChange: (before, after, subtract, add) => {
      const is = daysByValue(after)
      const was = daysByValue(before)
      for (const [value, days] of was) emitMissing(value, days, is.get(value) ?? NO_DAYS, subtract)
      for (const [value, days] of is) emitMissing(value, days, was.get(value) ?? NO_DAYS, add)
    },
    tally: countEvents(definition),
  }
}

const NO_DAYS: ReadonlyArray<Day> = []

/** The days of a fact, ascending, for each value of the breakdown. */
const daysByValue = (fact: Fact): ReadonlyMap<string, ReadonlyArray<Day>> => {
  const rows = fact.size === 1 ? [...fact.values()] : [...fact.values()].sort((a, b) => a.month - b.month)
  const days = new Map<string, Array<Day>>()
  for (const { value, month, mask } of rows) {
    const known = days.get(value)
    if (known === undefined) days.set(value, daysOfMask(month, mask))
    else known.push(...daysOfMask(month, mask))
  }
  return days
}

/** What one person adds on its days with a value, without what it adds on other such days too. Both ascend. */
const emitMissing = (value: string, days: ReadonlyArray<Day>, others: ReadonlyArray<Day>, emit: Emit): void => {
  let other = 0
  for (let n = 0; n < days.length; n++) {
    const day = days[n]!
    while (other < others.length && others[other]! < day) other++
    const shared = others[other] === day
    const gap = n === 0 ? null : day - days[n - 1]!
    const gapOfOther = shared && other > 0 ? day - others[other - 1]! : null
    if (!shared) emit(day, value, "users", 1)
    if (!shared || gap !== gapOfOther) emit(day, value, gap === null ? NEW_USERS : againUsers(gap), 1)
  }
}

/** Events a day, for each value of the breakdown; persons play no part. */
export const eventCount = (definition: MetricDefinition): Measure => ({
  definition,
  concerns: compileFilter(definition.filter ?? {}, definition.renamed).named,
  keepsPoints: false,
  observe: () => null,
  contribute: () => undefined,
  contributeChange: () => undefined,
  tally: countEvents(definition),
})

const countEvents = (definition: MetricDefinition): NonNullable<Measure["tally"]> => {
  const filter = compileFilter(definition.filter ?? {}, definition.renamed)
  const valueOf = breakdownReader(definition)
  return (event, day, emit) => {
    if (!filter.holds(event)) return
    const value = valueOf(event)
    if (value !== undefined) emit(day, value, "events", 1)
  }
}

/** Reads the breakdown value of an event: `""` when the metric has none, `undefined` when the event lacks it. */
export const breakdownReader = (definition: MetricDefinition): ((event: ObservedEvent) => string | undefined) => {
  if (definition.breakdown === undefined) return () => ""
  const read = fieldReader(definition.breakdown, definition.renamed)
  return (event) => {
    const value = read(event)
    return value === undefined ? undefined : boundedItem(String(value))
  }
}
