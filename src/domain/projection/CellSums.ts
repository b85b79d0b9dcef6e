import { addDecimals, type Decimal, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../measure/decimal.ts"
import type { Day } from "../time/calendar.ts"

/** Why a cell changes: events came in, or persons turned out to be others. */
export type DeltaCause = "late-data" | "identity"

/** A change of one cell: (local day, item, statistic) and what is added to it, as exact decimal text. */
export interface CellDelta {
  readonly day: Day
  readonly item: string
  readonly stat: string
  readonly amount: string
  readonly cause: DeltaCause
}

/** The order of cells: by day, statistic and item. */
export const byCell = (a: CellKey, b: CellKey): number =>
  a.day - b.day || (a.stat < b.stat ? -1 : a.stat > b.stat ? 1 : a.item < b.item ? -1 : a.item > b.item ? 1 : 0)

type CellKey = Pick<CellDelta, "day" | "stat" | "item">

/** One key for two free texts: the length says where the first ends, since either may hold any character. */
export const pairKey = (stat: string, item: string): string => `${stat.length}|${stat}${item}`

/** Sums what measures emit into one number per cell; what cancels out leaves nothing. */
export class CellSums {
  /** Statistic → item → day → amount. Levels, not one joined key: this is called several times for every event. */
  readonly #byStat = new Map<string, Map<string, Map<Day, number>>>()
  readonly #decimals = new Map<string, { day: Day; item: string; stat: string; amount: Decimal }>()

  readonly add = (day: Day, item: string, stat: string, amount: number): void => {
    let byItem = this.#byStat.get(stat)
    if (byItem === undefined) {
      byItem = new Map()
      this.#byStat.set(stat, byItem)
    }
    let days = byItem.get(item)
    if (days === undefined) {
      days = new Map()
      byItem.set(item, days)
    }
    days.set(day, (days.get(day) ?? 0) + amount)
  }

  readonly subtract = (day: Day, item: string, stat: string, amount: number): void => {
    this.add(day, item, stat, -amount)
  }

  readonly addDecimal = (day: Day, item: string, stat: string, amount: string): void => {
    const key = `${day}|${pairKey(stat, item)}`
    const entry = this.#decimals.get(key)
    const added = parseDecimal(amount)
    if (entry === undefined) this.#decimals.set(key, { day, item, stat, amount: added })
    else entry.amount = addDecimals(entry.amount, added)
  }

  /** All changes that aren't zero. */
  deltas(): ReadonlyArray<CellDelta> {
    return mergeDeltas(this, NO_SUMS)
  }

  /** Calls back for every cell, also those that cancelled out. */
  forEach(visit: (day: Day, item: string, stat: string, amount: Decimal) => void): void {
    for (const [stat, byItem] of this.#byStat) {
      for (const [item, days] of byItem) {
        for (const [day, amount] of days) visit(day, item, stat, amount === 0 ? DECIMAL_ZERO : wholeDecimal(amount))
      }
    }
    for (const { day, item, stat, amount } of this.#decimals.values()) visit(day, item, stat, amount)
  }
}

/** How the cells of one measure change: by what events bring, and by persons who turn out to be others. */
export class CellChanges {
  readonly gained = new CellSums()
  readonly moved = new CellSums()

  deltas(): ReadonlyArray<CellDelta> {
    return mergeDeltas(this.gained, this.moved)
  }
}

const wholeDecimal = (amount: number): Decimal => ({ digits: BigInt(amount), scale: 0 })

const NO_SUMS = new CellSums()

/** The changes that two kinds of causes make together; a cell that identity had a part in names that as its cause. */
const mergeDeltas = (data: CellSums, identity: CellSums): ReadonlyArray<CellDelta> => {
  const deltas: Array<CellDelta> = []
  const byIdentity = new Map<string, Decimal>()
  identity.forEach((day, item, stat, amount) => {
    if (amount.digits !== 0n) byIdentity.set(`${day}|${pairKey(stat, item)}`, amount)
  })
  data.forEach((day, item, stat, amount) => {
    const key = byIdentity.size === 0 ? "" : `${day}|${pairKey(stat, item)}`
    const moved = byIdentity.get(key)
    byIdentity.delete(key)
    const sum = moved === undefined ? amount : addDecimals(amount, moved)
    if (sum.digits === 0n) return
    deltas.push({ day, item, stat, amount: formatDecimal(sum), cause: moved === undefined ? "late-data" : "identity" })
  })
  if (byIdentity.size === 0) return deltas
  identity.forEach((day, item, stat, amount) => {
    if (byIdentity.has(`${day}|${pairKey(stat, item)}`)) {
      deltas.push({ day, item, stat, amount: formatDecimal(amount), cause: "identity" })
    }
  })
  return deltas
}
