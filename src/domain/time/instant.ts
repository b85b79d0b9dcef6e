import { dayFromCivil, MILLIS_PER_DAY } from "./calendar.ts"
import { TimeZone } from "./TimeZone.ts"

/** The latest instant that ECMAScript dates can hold; beyond it nothing can be formatted. */
const INSTANT_MAX = 8.64e15

const DAYS_OF_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const isDate = (year: number, month: number, day: number): boolean =>
  month >= 1 &&
  month <= 12 &&
  day >= 1 &&
  day <= DAYS_OF_MONTH[month - 1]! &&
  (month !== 2 || day <= 28 || (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)))

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?: ?(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?$/

/**
 * An instant in whole ms from what clients send: an ISO 8601 string (a space instead of `T`, a missing time of day and
 * a missing zone are accepted; without a zone it is wall-clock time of `zone`), or a number of seconds, milliseconds,
 * microseconds or nanoseconds since 1970 (told apart by size; also as a string of digits).
 *
 * `undefined` when it is no time. Never guesses local formats such as `01/02/2020`.
 */
export const parseInstant = (value: unknown, zone: TimeZone = TimeZone.utc): number | undefined => {
  if (typeof value === "number") return fromNumber(value)
  if (typeof value !== "string") return undefined
  const text = value.trim()
  if (/^-?\d{9,19}(?:\.\d+)?$/.test(text)) return fromNumber(Number(text))
  const match = ISO.exec(text)
  if (match === null) return undefined
  const year = Number(match[1])
  const month = Number(match[2])
  const dayOfMonth = Number(match[3])
  if (!isDate(year, month, dayOfMonth)) return undefined
  let wall = dayFromCivil(year, month, dayOfMonth) * MILLIS_PER_DAY
  if (match[4] !== undefined) {
    const hour = Number(match[4])
    const minute = Number(match[5])
    const second = Number(match[6] ?? 0)
    // 24:00:00 ends a day and :60 is a leap second; both are legal ISO 8601.
    if (hour > 24 || minute > 59 || second > 60 || (hour === 24 && (minute > 0 || second > 0))) return undefined
    wall += hour * 3_600_000 + minute * 60_000 + second * 1000
    if (match[7] !== undefined) wall += Math.floor(Number(`0.${match[7]}`) * 1000 + 1e-6)
  }
  const offset = match[8]
  if (offset === undefined) return zone.instantOf(wall)
  if (!/^[+-]/.test(offset)) return wall
  const hours = Number(offset.slice(1, 3))
  const minutes = Number(offset.slice(3).replace(":", "") || 0)
  if (hours > 18 || minutes > 59) return undefined
  return wall - (offset.startsWith("-") ? -1 : 1) * (hours * 3_600_000 + minutes * 60_000)
}

const fromNumber = (value: number): number | undefined => {
  const size = Math.abs(value)
  const millis =
    size < 1e11
      ? value * 1000
      : size < 1e14
        ? value
        : size < 1e17
          ? value / 1e3
          : size < 1e20
            ? value / 1e6
            : Number.NaN
  return Number.isFinite(millis) && Math.abs(millis) <= INSTANT_MAX ? Math.floor(millis) : undefined
}

/** `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
export const formatInstant = (millis: number): string => new Date(millis).toISOString()
