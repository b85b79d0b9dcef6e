import { type Fact, type FactRow, factKey, joinFacts } from "../../domain/measure/Fact.ts"
import { decodePoints, EMPTY_POINTS, encodePoints, type Points } from "../../domain/measure/points.ts"
import type { Month } from "../../domain/time/calendar.ts"
import type { CopyValue } from "./copyText.ts"
import { fromStorable, toStorable } from "./storableText.ts"

/**
 * The facts table holds fragments: what one or more steps learnt of one identity in one month, all values of the breakdown
 * together. A fact is the join of its fragments, so a step adds a fragment and changes none.
 */
export const FACT_COLUMNS = ["measure", "key", "month", "mask", "items", "masks", "points"] as const

/** A fragment as JSON carries it out of the database; the points in hex. */
export type PackedFragment = readonly [
  measure: number,
  key: number,
  month: Month,
  mask: number,
  items: ReadonlyArray<string> | null,
  masks: ReadonlyArray<number> | null,
  points: string | null,
]

/** The fragments that hold the rows of one identity, one for each month, as columns to copy. */
export const packFragments = (
  measure: number,
  key: number,
  rows: Iterable<FactRow>,
): ReadonlyArray<ReadonlyArray<CopyValue>> => {
  const byMonth = new Map<Month, Array<FactRow>>()
  for (const row of rows) {
    const group = byMonth.get(row.month)
    if (group === undefined) byMonth.set(row.month, [row])
    else group.push(row)
  }
  return Array.from(byMonth, ([month, group]) => {
    const mask = group.reduce((union, row) => union | row.mask, 0)
    // Without a breakdown there is one value, the empty one, and no list of values is needed.
    const plain = group.length === 1 && group[0]!.value === ""
    return [
      measure,
      key,
      month,
      mask,
      plain ? null : group.map(({ value }) => toStorable(value)),
      plain ? null : group.map((row) => row.mask),
      packPoints(group.map(({ points }) => points)),
    ]
  })
}

/** Joins a fragment into a fact. */
export const unpackFragment = ([, , month, mask, items, masks, points]: PackedFragment): Fact => {
  const moments = points === null ? [] : unpackPoints(Buffer.from(points, "hex"))
  const rows = (items ?? [""]).map((stored, n): FactRow => {
    const value = fromStorable(stored)
    return { value, month, mask: masks?.[n] ?? mask, points: moments[n] ?? EMPTY_POINTS }
  })
  return new Map(rows.map((row) => [factKey(row.value, month), row]))
}

/** The fact that fragments of one identity make. */
export const joinFragments = (fragments: Iterable<PackedFragment>): Fact => {
  let fact: Fact = new Map()
  for (const fragment of fragments) fact = joinFacts(fact, unpackFragment(fragment))
  return fact
}

/** The moments of several values, each behind its length in 4 bytes; `null` when there are none at all. */
const packPoints = (sets: ReadonlyArray<Points>): Uint8Array | null => {
  if (sets.every(({ times }) => times.length === 0)) return null
  const packed = sets.map((points) => (points.times.length === 0 ? NO_BYTES : encodePoints(points)))
  const bytes = Buffer.allocUnsafe(packed.reduce((size, part) => size + 4 + part.length, 0))
  let at = 0
  for (const part of packed) {
    at = bytes.writeUInt32LE(part.length, at)
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const NO_BYTES = new Uint8Array(0)

const unpackPoints = (bytes: Buffer): ReadonlyArray<Points> => {
  const sets: Array<Points> = []
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at)
    const from = at + 4
    sets.push(length === 0 ? EMPTY_POINTS : decodePoints(bytes.subarray(from, from + length)))
    at = from + length
  }
  return sets
}
