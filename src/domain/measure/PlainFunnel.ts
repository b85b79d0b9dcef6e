import { grownInts } from "../columns.ts"
import type { Attempt, FunnelEntries } from "./funnelEntries.ts"
import type { FunnelRules } from "./funnelRules.ts"
import type { TimedLabels } from "./points.ts"

/** Room for so many events of a person at first. */
const ROOM = 64

/** What stands for the place of an event that there is not. */
const NONE = -1

/**
 * The same as `FunnelHistory` for what nearly everybody does: each event is one step, and no two are at one instant; in funnels
 * without grace and exclusions. Then an attempt has no choice, and one walk backwards says for every event which is next. Nothing
 * is made for a person but columns that are kept for the next.
 */
export class PlainFunnel implements FunnelEntries {
  readonly #rules: FunnelRules
  #times: ArrayLike<number> = []
  /** For each event, the place of the first one after it of the step after its own. */
  #next: Int32Array = new Int32Array(ROOM)
  /** Places of the events of the first step, the last one first. */
  readonly #entries: Array<number> = []
  /** For each step, the place of its first event after the one that the walk is at. */
  readonly #following: Int32Array

  constructor(rules: FunnelRules) {
    this.#rules = rules
    this.#following = new Int32Array(rules.steps + 1)
  }

  /** Takes what a person did, in place of the person before; `false` when it is not so plain. */
  read({ count, times, labels }: TimedLabels): boolean {
    const { hitOf } = this.#rules
    if (count > this.#next.length) this.#next = grownInts(this.#next, count)
    this.#times = times
    this.#entries.length = 0
    this.#following.fill(NONE)
    let after = Number.POSITIVE_INFINITY
    for (let at = count - 1; at >= 0; at--) {
      const { steps } = hitOf(labels[at]!)
      if (steps.length !== 1 || times[at] === after) return false
      const step = steps[0]!
      after = times[at]!
      this.#next[at] = this.#following[step + 1]!
      this.#following[step] = at
      if (step === 0) this.#entries.push(at)
    }
    return true
  }

  get entries(): ReadonlyArray<number> {
    return this.#entries.map((at) => this.#times[at]!).reverse()
  }

  bestOf(entries: ReadonlyArray<number>): Attempt | null {
    let left = this.#entries.length
    let asked = 0
    return this.#bestAmong(() => {
      if (asked === entries.length) return NONE
      do left--
      while (this.#times[this.#entries[left]!] !== entries[asked])
      asked++
      return this.#entries[left]!
    })
  }

  bestWhere(isWanted: (entry: number) => boolean): Attempt | null {
    let left = this.#entries.length
    return this.#bestAmong(() => {
      do left--
      while (left >= 0 && !isWanted(this.#times[this.#entries[left]!]!))
      return left < 0 ? NONE : this.#entries[left]!
    })
  }

  /** The attempt that counts among those that begin at some places, given one after another in order, and `NONE` at last. */
  #bestAmong(nextPlace: () => number): Attempt | null {
    const { steps, firstEntryOnly } = this.#rules
    let best = NONE
    let furthest = 0
    for (let at = nextPlace(); at !== NONE; at = nextPlace()) {
      const length = this.#lengthOf(at)
      if (length > furthest) {
        best = at
        furthest = length
      }
      if (firstEntryOnly || furthest === steps) break
    }
    if (best === NONE) return null
    const reached: Array<number> = []
    for (let at = best; reached.length < furthest; at = this.#next[at]!) reached.push(this.#times[at]!)
    return { reached }
  }

  /** How many steps the attempt reaches that begins with the event at a place. */
  #lengthOf(entry: number): number {
    const latest = this.#times[entry]! + this.#rules.windowMillis
    let length = 0
    for (let at = entry; at !== NONE && this.#times[at]! <= latest; at = this.#next[at]!) length++
    return length
  }
}
