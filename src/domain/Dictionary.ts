/** Texts, each once, by the numbers that stand for them: 0, 1, 2, … in the order in which they were first met. */
export class Dictionary {
  readonly values: Array<string> = []
  readonly #places = new Map<string, number>()

  /** The number of a text. */
  add(value: string): number {
    let place = this.#places.get(value)
    if (place === undefined) {
      place = this.values.push(value) - 1
      this.#places.set(value, place)
    }
    return place
  }
}
