/**
 * Seeded pseudo-random numbers: Chris Doty-Humphrey's sfc32 (PractRand), 128 bits of state, seeded with the two halves
 * of the seed and run 15 rounds before use.
 *
 * Everything here is made of integer operations, `+ - * /` and `sqrt`, whose results IEEE 754 fixes to the last bit.
 * `Math.log`, `exp` and `pow` are left to the engine, so a simulation that used them could differ between two machines.
 */
export class Random {
  #a: number
  #b: number
  #c = 0x9e3779b9 | 0
  #counter = 1

  /** @param seed - any safe integer */
  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 2 ** 32) | 0
    for (let round = 0; round < 15; round++) this.uint32()
  }

  /** A whole number from 0 to 2³² − 1. */
  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** A number of [0, 1). */
  unit(): number {
    return this.uint32() / 2 ** 32
  }

  /** `true` this often: 0 never, 1 always. */
  chance(probability: number): boolean {
    return this.unit() < probability
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }

  /** One of a list that is not empty, all equally likely. */
  oneOf<T>(list: ReadonlyArray<T>): T {
    return list[this.between(0, list.length - 1)]!
  }

  /**
   * A positive number of which half are below `median` and few are far above it, none over `max`: log-logistic of shape
   * 2, which looks like the log-normal pauses and appetites of people and needs no more than a square root.
   */
  skewed(median: number, max: number): number {
    const u = this.unit()
    return Math.min(max, median * Math.sqrt(u / (1 - u)))
  }

  /** Lower-case hexadecimal digits, four a `group`. */
  hex(groups: number): string {
    let digits = ""
    for (let group = 0; group < groups; group++) digits += HEX[this.uint32() >>> 16]!
    return digits
  }

  /** A string in the form of a version 4 UUID. */
  uuid(): string {
    const a = this.uint32()
    const b = this.uint32()
    const c = this.uint32()
    const d = this.uint32()
    const version = DASHED[(b & 0x0fff) | 0x4000]!
    const variant = DASHED[((c >>> 16) & 0x3fff) | 0x8000]!
    return (
      HEX[a >>> 16]! +
      HEX[a & 0xffff]! +
      DASHED[b >>> 16]! +
      version +
      variant +
      DASHED[c & 0xffff]! +
      HEX[d >>> 16]! +
      HEX[d & 0xffff]!
    )
  }
}

/** Four hexadecimal digits of every 16-bit number: an id a table look-up, where ids are most of the work. */
const HEX: ReadonlyArray<string> = Array.from({ length: 0x10000 }, (_, n) => n.toString(16).padStart(4, "0"))
const DASHED = HEX.map((digits) => `-${digits}`)

/** A choice among few things that are not equally likely. */
export class Weighted<T> {
  readonly #things: ReadonlyArray<T>
  readonly #upTo: ReadonlyArray<number>

  /** @param weights - each thing with its weight: any number from 0, not all of them 0 */
  constructor(weights: ReadonlyArray<readonly [thing: T, weight: number]>) {
    let sum = 0
    this.#things = weights.map(([thing]) => thing)
    this.#upTo = weights.map(([, weight]) => (sum += weight))
  }

  pick(random: Random): T {
    const at = random.unit() * this.#upTo.at(-1)!
    return this.#things[this.#upTo.findIndex((upTo) => at < upTo)]!
  }
}
