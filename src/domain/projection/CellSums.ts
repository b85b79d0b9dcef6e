import { addDecimals, type Decimal, formatDecimal, parseDecimal } from "../measure/decimal.ts"
import type { Day } from "../time/calendar.ts"

/** A change of one cell: (local day, item, statistic) and what is added to it, as exact decimal text. */
export interface CellDelta {
  readonly day: Day
  readonly item: string
  readonly stat: string
  readonly amount: string
}

/** Sums what measures emit into one number per cell; what cancels out leaves nothing. */
export class CellSums {
  /** stat, item → day → amount. Two levels, since one item has many days. */
  readonly #byItem = new Map<string, { item: string; stat: string; days: Map<Day, number> }>()
  readonly #decimals = new Map<string, { day: Day; item: string; stat: string; amount: Decimal }>()

  readonly add = (day: Day, item: string, stat: string, amount: number): void => {
    const key = `${stat}|${item}`
    let entry = this.#byItem.get(key)
    if (entry === undefined) {
      entry = { item, stat, days: new Map() }
      this.#byItem.set(key, entry)
    }
    entry.days.set(day, (entry.days.get(day) ?? 0) + amount)
  }

  readonly subtract = (day: Day, item: string, stat: string, amount: number): void => {
    this.add(day, item, stat, -amount)
  }

  readonly addDecimal = (day: Day, item: string, stat: string, amount: string): void => {
    const key = `${day}|${stat}|${item}`
    const entry = this.#decimals.get(key)
    const added = parseDecimal(amount)
    if (entry === undefined) this.#decimals.set(key, { day, item, stat, amount: added })
    else entry.amount = addDecimals(entry.amount, added)
  }

  /** All changes that aren't zero. */
  deltas(): ReadonlyArray<CellDelta> {
    const deltas: Array<CellDelta> = []
    for (const { item, stat, days } of this.#byItem.values()) {
      for (const [day, amount] of days) {
        if (amount !== 0) deltas.push({ day, item, stat, amount: String(amount) })
      }
    }
    for (const { day, item, stat, amount } of this.#decimals.values()) {
      if (amount.digits !== 0n) deltas.push({ day, item, stat, amount: formatDecimal(amount) })
    }
    return deltas
  }
}
