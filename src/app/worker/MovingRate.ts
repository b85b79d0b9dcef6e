/** Seconds over which a rate is averaged. */
const WINDOW_SECONDS = 10

/** Counts per second, averaged over the last seconds; with the time given, so that it needs no timer of its own. */
export class MovingRate {
  readonly #counts = new Float64Array(WINDOW_SECONDS)
  #second = Number.NEGATIVE_INFINITY

  add(count: number, nowMillis: number): void {
    this.#advance(nowMillis)
    this.#counts[this.#second % WINDOW_SECONDS]! += count
  }

  perSecond(nowMillis: number): number {
    this.#advance(nowMillis)
    return this.#counts.reduce((sum, count) => sum + count, 0) / WINDOW_SECONDS
  }

  /** Empties the places of the seconds that have begun since the last call. */
  #advance(nowMillis: number): void {
    const second = Math.floor(nowMillis / 1000)
    if (second <= this.#second) return
    const first = Math.max(this.#second + 1, second - WINDOW_SECONDS + 1)
    for (let begun = first; begun <= second; begun++) this.#counts[begun % WINDOW_SECONDS] = 0
    this.#second = second
  }
}
