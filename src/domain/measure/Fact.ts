import { type Day, firstDayOfMonth, type Month } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { joinPoints, type Points, sortPoints, splitPoints, type TimedLabels, timedLabels } from "./points.ts"

/**
 * What one measure remembers of one distinct id: for each value of its breakdown and each local month, the days on
 * which something was observed (a 31-bit mask, bit 0 = the 1st) and, where the measure or the distinct id needs them,
 * the moments themselves.
 *
 * An element of a join-semilattice: {@link joinFacts} is union on both, hence associative, commutative and idempotent.
 * Everything that projection promises follows from that.
 */
export type Fact = ReadonlyMap<FactKey, FactRow>

/** One value and one month of a fact, as {@link factKey} spells it. */
export type FactKey = string

export interface FactRow {
  /** Value of the breakdown; `""` for a measure without. */
  readonly value: string
  readonly month: Month
  readonly mask: number
  /** Empty where only days are remembered. */
  readonly points: Points
}

/** The key of a row: month, then value. */
export const factKey = (value: string, month: Month): FactKey => `${month}|${value}`

export const EMPTY_FACT: Fact = new Map()

/** The fact that rows make, each of another value or month. */
export const factOf = (rows: Iterable<FactRow>): Fact => {
  const fact = new Map<FactKey, FactRow>()
  for (const row of rows) fact.set(factKey(row.value, row.month), row)
  return fact
}

const joinRows = (a: FactRow, b: FactRow): FactRow => ({
  value: a.value,
  month: a.month,
  mask: a.mask | b.mask,
  points: joinPoints(a.points, b.points),
})

/** The union of two facts. Associative, commutative, idempotent. */
export const joinFacts = (a: Fact, b: Fact): Fact => {
  if (a.size === 0) return b
  if (b.size === 0) return a
  const joined = new Map(a)
  for (const [key, row] of b) {
    const known = joined.get(key)
    joined.set(key, known === undefined ? row : joinRows(known, row))
  }
  return joined
}

/** Joins facts into those of a map, by key. */
export const joinInto =
  (facts: Map<number, Fact>) =>
  (key: number, fact: Fact): void => {
    facts.set(key, joinFacts(facts.get(key) ?? EMPTY_FACT, fact))
  }

/**
 * The rows of `gained` that say something which `known` does not: joining them gives the same as joining all of `gained`.
 * Moments count as news, since every event is gathered once.
 */
export const newsIn = (gained: Fact, known: Fact): ReadonlyArray<FactRow> => {
  const news: Array<FactRow> = []
  for (const [key, row] of gained) {
    const held = known.get(key)
    if (held === undefined || (row.mask & ~held.mask) !== 0 || row.points.times.length > 0) news.push(row)
  }
  return news
}

/**
 * Cuts a device's fact at an instant: what was observed before it, and from it on. Exact, since facts of devices keep
 * their moments. Joining the two parts gives back the whole.
 */
export const splitFact = (fact: Fact, instant: number, zone: TimeZone): readonly [before: Fact, from: Fact] => {
  if (isWhollyFrom(fact, instant)) return [EMPTY_FACT, fact]
  const before = new Map<FactKey, FactRow>()
  const from = new Map<FactKey, FactRow>()
  for (const [key, row] of fact) {
    const [early, late] = splitPoints(row.points, instant)
    if (early.times.length > 0) before.set(key, { ...row, points: early, mask: maskOf(early, row.month, zone) })
    if (late.times.length > 0) from.set(key, { ...row, points: late, mask: maskOf(late, row.month, zone) })
  }
  return [before, from]
}

/** Nearly always so: nothing of the device is older than the merge window. */
const isWhollyFrom = (fact: Fact, instant: number): boolean => {
  for (const { points } of fact.values()) if (!(points.times[0]! >= instant)) return false
  return true
}

const maskOf = (points: Points, month: Month, zone: TimeZone): number => {
  const first = firstDayOfMonth(month)
  return points.times.reduce((mask, time) => mask | (1 << (zone.dayOf(time) - first)), 0)
}

/** The days of a mask, ascending. */
export const daysOfMask = (month: Month, mask: number): Array<Day> => {
  const days: Array<Day> = []
  const first = firstDayOfMonth(month)
  for (let rest = mask; rest !== 0; rest &= rest - 1) days.push(first + 31 - Math.clz32(rest & -rest))
  return days
}

/** All points of a fact in order, whatever their month. */
export const pointsOf = (fact: Fact): Points => {
  const [only, ...others] = fact.values()
  if (only !== undefined && others.length === 0) return only.points
  const rows = [...fact.values()].sort((a, b) => a.month - b.month)
  const times: Array<number> = []
  const keys: Array<number> = []
  const labels: Array<string> = []
  for (const { points } of rows) {
    for (let i = 0; i < points.times.length; i++) {
      times.push(points.times[i]!)
      keys.push(points.keys[i]!)
      labels.push(points.labels[i]!)
    }
  }
  return sortPoints({ times, keys, labels })
}

/** The same for what doesn't ask which event each is. */
export const timedLabelsOf = (fact: Fact): TimedLabels => timedLabels(pointsOf(fact))
