import { type Day, MILLIS_PER_DAY } from "../time/calendar.ts"
import type { Place } from "./places.ts"
import { type Random, Weighted } from "./random.ts"

/** Monday to Sunday. */
const WEEKDAY_FACTOR = [1, 1.04, 1.05, 1.02, 0.92, 0.48, 0.42]

const dayOfWeek = (day: Day): number => (day + 3) % 7

/** How busy a day of the week is, relative to a Monday. */
export const weekdayFactor = (day: Day): number => WEEKDAY_FACTOR[dayOfWeek(day)]!

const hours = (weights: ReadonlyArray<number>): Weighted<number> =>
  new Weighted(weights.map((weight, hour) => [hour, weight]))

/** Local hours in which sessions start: the office day with its lunch break, a small evening. */
const WORKDAY_HOURS = hours([
  0.6, 0.3, 0.2, 0.2, 0.3, 0.6, 1.5, 3, 6, 9, 10, 9.5, 6.5, 7.5, 9, 9, 8, 6, 4, 3.5, 3.5, 3, 2, 1.2,
])
const WEEKEND_HOURS = hours([
  1.2, 0.8, 0.5, 0.3, 0.2, 0.3, 0.6, 1.2, 2.5, 4, 5.5, 6, 5.5, 5, 5, 5, 5, 5, 5, 5.5, 6, 5.5, 4, 2.5,
])

/** An instant of a UTC day at which somebody who lives in a place may begin a session, by their local time of day. */
export const startOfSession = (random: Random, place: Place, day: Day): number => {
  const hour = (dayOfWeek(day) < 5 ? WORKDAY_HOURS : WEEKEND_HOURS).pick(random)
  const local = hour * 3_600_000 + random.between(0, 3_599_999)
  const ofDay = (local - place.utcOffsetHours * 3_600_000 + MILLIS_PER_DAY) % MILLIS_PER_DAY
  return day * MILLIS_PER_DAY + ofDay
}

/** Share of the people who were members before the first day. */
const MEMBER_SHARE = 0.3
/** Newcomers a day grow by this share of the first day's, every day. */
const GROWTH = 0.015

export interface Arrivals {
  readonly members: number
  readonly newcomers: number
}

/**
 * How many people show up for the first time on each day. Members from before come back soon or much later; newcomers
 * grow in number. The sum is `users`.
 */
export const arrivalsPerDay = (users: number, days: number, first: Day): ReadonlyArray<Arrivals> => {
  const members = Math.round(users * MEMBER_SHARE)
  const ofMembers = apportion(members, days, (index) => weekdayFactor(first + index) / (1 + index / 2))
  const ofNewcomers = apportion(users - members, days, (index) => weekdayFactor(first + index) * (1 + GROWTH * index))
  return ofMembers.map((count, index) => ({ members: count, newcomers: ofNewcomers[index]! }))
}

/** Whole numbers that add up to `total`, in proportion to the days' weights. */
const apportion = (total: number, days: number, weightOf: (index: number) => number): ReadonlyArray<number> => {
  const upTo: Array<number> = []
  let sum = 0
  for (let index = 0; index < days; index++) upTo.push((sum += weightOf(index)))
  const shares = upTo.map((weight) => Math.round((total * weight) / sum))
  return shares.map((share, index) => share - (shares[index - 1] ?? 0))
}
