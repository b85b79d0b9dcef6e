import { Effect } from "effect"
import type { Returned } from "../../domain/projection/ReadModelQueries.ts"
import {
  type DayRange,
  type Day,
  firstDayOfMonth,
  firstDayOfWeek,
  monthOfDay,
  type WeekStart,
} from "../../domain/time/calendar.ts"
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

/**
 * Distinct persons per period: in each, every person counts once, on the first of its days there, which is the one with no
 * day before it inside the period. `returned` covers the observed range.
 */
export const usersPerPeriod = (
  returned: ReadonlyArray<Returned>,
  interval: Interval,
  range: DayRange,
  weekStart: WeekStart,
): ReadonlyMap<Day, number> => {
  const ofDay = Map.groupBy(returned, ({ day }) => day)
  const counts = new Map<Day, number>()
  const count = (period: Day, day: Day, from: Day): void => {
    for (const { since, users } of ofDay.get(day) ?? []) {
      if (day - since < from) counts.set(period, (counts.get(period) ?? 0) + users)
    }
  }
  for (let day = range.from; day <= range.to; day++) {
    if (interval.unit === "rolling") {
      for (let n = interval.days - 1; n >= 0; n--) count(day, day - n, day - interval.days + 1)
    } else {
      const period = periodOf(interval, day, weekStart)
      count(period, day, Math.max(period, range.from))
    }
  }
  return counts
}
