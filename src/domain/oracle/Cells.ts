import { ExactSum } from "./ExactSum.ts"

/** `day|item|stat`. */
export type CellKey = string

/** The cells of one metric while they are added up. */
export class Cells {
  readonly #counts = new Map<CellKey, number>()
  readonly #sums = new Map<CellKey, ExactSum>()

  /** Adds to a count. */
  add(day: string, item: string, stat: string, amount: number): void {
    const key = `${day}|${item}|${stat}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + amount)
  }

  /** Adds to an exact decimal sum. */
  addExactly(day: string, item: string, stat: string, amount: number): void {
    const key = `${day}|${item}|${stat}`
    let sum = this.#sums.get(key)
    if (sum === undefined) {
      sum = new ExactSum()
      this.#sums.set(key, sum)
    }
    sum.add(amount)
  }

  /** All cells that are not zero. */
  values(): ReadonlyMap<CellKey, number | string> {
    const values = new Map<CellKey, number | string>()
    for (const [key, count] of this.#counts) if (count !== 0) values.set(key, count)
    for (const [key, sum] of this.#sums) if (sum.toString() !== "0") values.set(key, sum.toString())
    return values
  }
}
