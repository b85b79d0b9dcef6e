import type { Random } from "../../src/domain/simulate/random.ts"
import type { Process, World } from "./World.ts"

/** What a call of a port can run into. */
export type CallFault =
  /** It fails, and nothing was done. */
  | "refused"
  /** It fails, and all of it was done: the answer got lost. */
  | "lost-answer"
  /** An append of which the first batches were stored. */
  | "prefix"
  /** The adapter sends it twice. */
  | "repeated"
  /** The adapter sends it again after a while, or the network an older one, and the log has forgotten that it has it. */
  | "stored-again"
  /** A read that ends in the middle. */
  | "broken-off"
  /** A commit that fails although nobody can say whether it was done; it was not. */
  | "unknown-not-done"
  /** A commit that the database gives up for another's sake. */
  | "deadlock"
  /** A commit that the adapter settles a second time. */
  | "settled-again"
  /** The answer comes late. */
  | "slow-answer"

export const CALL_FAULTS: ReadonlyArray<CallFault> = [
  "refused",
  "lost-answer",
  "prefix",
  "repeated",
  "stored-again",
  "broken-off",
  "unknown-not-done",
  "deadlock",
  "settled-again",
  "slow-answer",
]

/** Decides what becomes of each call of a port. */
export interface CallFaults {
  /** Asked once for each call, with what this one can run into. */
  readonly strike: (process: Process, call: string, possible: ReadonlyArray<CallFault>) => CallFault | null
}

export const NO_FAULTS: CallFaults = { strike: () => null }

/** Faults at random: each kind at one rate, or not at all. */
export class RandomFaults implements CallFaults {
  /** Off in quiet moments. */
  active = false
  /** How many are still to come: a world in which nothing ever works proves nothing. */
  left: number
  readonly #world: World
  readonly #random: Random
  readonly #enabled: ReadonlySet<string>
  readonly #rate: number

  constructor(
    world: World,
    random: Random,
    options: { readonly enabled: ReadonlySet<string>; readonly rate: number; readonly budget: number },
  ) {
    this.#world = world
    this.#random = random
    this.#enabled = options.enabled
    this.#rate = options.rate
    this.left = options.budget
  }

  strike(process: Process, call: string, possible: ReadonlyArray<CallFault>): CallFault | null {
    if (!this.active || this.left <= 0 || !this.#random.chance(this.#rate)) return null
    const enabled = possible.filter((kind) => this.#enabled.has(kind))
    if (enabled.length === 0) return null
    const kind = this.#random.oneOf(enabled)
    this.left--
    this.#world.note(`! ${process.name} ${call}: ${kind}`)
    return kind
  }
}

/** Fails the Nth call, once, in one of the ways that it can fail; counts calls and ways. */
export class NthCallFails implements CallFaults {
  calls = 0
  /** In how many ways the Nth call can fail. */
  ways = 0
  /** What was done to which call. */
  struck: string | null = null
  readonly #nth: number
  readonly #way: number

  constructor(nth: number, way: number) {
    this.#nth = nth
    this.#way = way
  }

  strike(_: Process, call: string, possible: ReadonlyArray<CallFault>): CallFault | null {
    this.calls++
    if (this.calls !== this.#nth) return null
    this.ways = possible.length
    const kind = possible[this.#way] ?? null
    if (kind !== null) this.struck = `${call}: ${kind}`
    return kind
  }
}
