import { Effect } from "effect"
import { daysOfMask } from "../../domain/measure/Fact.ts"
import type { DayRange, PersonDays } from "../../domain/projection/ReadModelQueries.ts"
import { type Day, firstDayOfMonth, firstDayOfWeek, monthOfDay, type WeekStart } from "../../domain/time/calendar.ts"
import { BadQuery } from "./errors.ts"

/** How a series is cut: calendar periods, or windows of N days that end on each day. */
export type Interval = { readonly unit: "day" | "week" | "month" } | { readonly unit: "rolling"; readonly days: number }

/** The longest rolling window, in days. */
export const ROLLING_DAYS_MAX = 90

/** Reads `day`, `week`, `month` or `rolling-N`. */
export const parseInterval = (text: string): Effect.Effect<Interval, BadQuery> => {
  if (text === "day" || text === "week" || text === "month") return Effect.succeed({ unit: text })
  const days = Number(/^rolling-(\d{1,3})$/.exec(text)?.[1])
  if (days >= 1 && days <= ROLLING_DAYS_MAX) return Effect.succeed({ unit: "rolling", days })
  return Effect.fail(
    new BadQuery({
      problem: `"${text}" is not an interval.`,
      remedy: `Give day, week, month or rolling-N with N from 1 to ${ROLLING_DAYS_MAX}.`,
    }),
  )
}

/** `week`, `rolling-7`, … */
export const formatInterval = (interval: Interval): string =>
  interval.unit === "rolling" ? `rolling-${interval.days}` : interval.unit

/** The first day of the period that a day lies in; what a row is named after. */
export const periodOf = (interval: Interval, day: Day, weekStart: WeekStart): Day =>
  interval.unit === "week"
    ? firstDayOfWeek(day, weekStart)
    : interval.unit === "month"
      ? firstDayOfMonth(monthOfDay(day))
      : day

/** Names of all periods of a range, ascending; the first and the last may be clipped by it. */
export const periodsOf = (interval: Interval, range: DayRange, weekStart: WeekStart): ReadonlyArray<Day> => {
  const periods: Array<Day> = []
  for (let day = range.from; day <= range.to; day++) {
    const period = periodOf(interval, day, weekStart)
    if (periods[periods.length - 1] !== period) periods.push(period)
  }
  return periods
}

/** The days whose activity matters to a range: windows that end in it begin earlier. */
export const observedRange = (interval: Interval, range: DayRange): DayRange =>
  interval.unit === "rolling" ? { from: range.from - interval.days + 1, to: range.to } : range

/** Distinct persons per period, from the days on which each was active. */
export const countPersons = (
  persons: ReadonlyArray<PersonDays>,
  interval: Interval,
  range: DayRange,
  weekStart: WeekStart,
): ReadonlyMap<Day, number> => {
  const counts = new Map<Day, number>()
  const count = (period: Day) => counts.set(period, (counts.get(period) ?? 0) + 1)
  for (const { months } of persons) {
    const days = months.flatMap(([month, mask]) => daysOfMask(month, mask))
    if (interval.unit === "rolling") {
      // A person is in every window that ends from an active day on until N − 1 days later, once in each.
      let next = range.from
      for (const day of days) {
        for (let end = Math.max(day, next); end < day + interval.days && end <= range.to; end++) count(end)
        next = Math.max(next, day + interval.days)
      }
    } else {
      let last: Day | undefined
      for (const day of days) {
        const period = periodOf(interval, day, weekStart)
        if (period !== last) count(period)
        last = period
      }
    }
  }
  return counts
}
