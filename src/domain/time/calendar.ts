/**
 * Proleptic Gregorian calendar arithmetic on day numbers: a day is an integer, 0 = 1970-01-01. Formulas after
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (days_from_civil, civil_from_days).
 */

/** Days since 1970-01-01. */
export type Day = number

/** Local days, both included. */
export interface DayRange {
  readonly from: Day
  readonly to: Day
}

/** Months since January 1970. */
export type Month = number

export const MILLIS_PER_DAY = 86_400_000

export interface CivilDate {
  readonly year: number
  /** 1…12 */
  readonly month: number
  /** 1…31 */
  readonly dayOfMonth: number
}

export const dayFromCivil = (year: number, month: number, dayOfMonth: number): Day => {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + dayOfMonth - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

export const civilFromDay = (day: Day): CivilDate => {
  const z = day + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const mp = Math.floor((5 * dayOfYear + 2) / 153)
  const month = mp + (mp < 10 ? 3 : -9)
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    dayOfMonth: dayOfYear - Math.floor((153 * mp + 2) / 5) + 1,
  }
}

/** The month that holds a day. */
export const monthOfDay = (day: Day): Month => {
  const { year, month } = civilFromDay(day)
  return (year - 1970) * 12 + month - 1
}

/** The first day of a month. */
export const firstDayOfMonth = (month: Month): Day =>
  dayFromCivil(1970 + Math.floor(month / 12), month - Math.floor(month / 12) * 12 + 1, 1)

export type WeekStart = "monday" | "sunday"

/** The first day of the week that holds a day. 1970-01-01 was a Thursday. */
export const firstDayOfWeek = (day: Day, weekStart: WeekStart): Day => {
  const sinceStart = (((day + (weekStart === "monday" ? 3 : 4)) % 7) + 7) % 7
  return day - sinceStart
}

const pad = (value: number, width: number): string => String(value).padStart(width, "0")

/** `YYYY-MM-DD`. */
export const formatDay = (day: Day): string => {
  const { year, month, dayOfMonth } = civilFromDay(day)
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)}`
}

/** A day from `YYYY-MM-DD`, or `undefined` when it is not a date of the calendar. */
export const parseDay = (text: string): Day | undefined => {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (match === null) return undefined
  const day = dayFromCivil(Number(match[1]), Number(match[2]), Number(match[3]))
  return formatDay(day) === text ? day : undefined
}
