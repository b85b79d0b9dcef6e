/** Moments of one person in order of time, as funnels look at them. */
export interface Moments {
  /** ms since 1970, ascending. */
  readonly times: ArrayLike<number>
  readonly labels: ArrayLike<string>
}

/** Room for so many moments at first. */
const ROOM = 1024

/**
 * The moments that one measure keeps of everybody, in columns: of a hundred thousand persons they are some megabytes, where
 * as many facts are objects by the million.
 */
export class PersonMoments {
  #count = 0
  #persons = new Int32Array(ROOM)
  #times = new Float64Array(ROOM)
  #keys = new Float64Array(ROOM)
  #labels = new Int32Array(ROOM)
  readonly #texts: Array<string> = []
  readonly #placeOfText = new Map<string, number>()

  /** The number that stands for a label. */
  labelOf(text: string): number {
    let place = this.#placeOfText.get(text)
    if (place === undefined) {
      place = this.#texts.push(text) - 1
      this.#placeOfText.set(text, place)
    }
    return place
  }

  /** Adds a moment of a person, in any order and as often as may be: the event's time, its key, and the label's number. */
  add(person: number, time: number, key: number, label: number): void {
    const at = this.#count
    if (at === this.#times.length) {
      this.#persons = doubled(this.#persons, new Int32Array(2 * at))
      this.#times = doubled(this.#times, new Float64Array(2 * at))
      this.#keys = doubled(this.#keys, new Float64Array(2 * at))
      this.#labels = doubled(this.#labels, new Int32Array(2 * at))
    }
    this.#persons[at] = person
    this.#times[at] = time
    this.#keys[at] = key
    this.#labels[at] = label
    this.#count++
  }

  /** Calls back with the moments of each person, which are valid until it returns. */
  forEach(visit: (moments: Moments) => void): void {
    const byPerson = this.#inOrderOfPersons()
    const times: Array<number> = []
    const labels: Array<string> = []
    for (let from = 0; from < byPerson.length;) {
      const person = this.#persons[byPerson[from]!]!
      let to = from + 1
      let sorted = true
      for (; to < byPerson.length && this.#persons[byPerson[to]!] === person; to++) {
        sorted &&= this.#compare(byPerson[to - 1]!, byPerson[to]!) < 0
      }
      const own = byPerson.subarray(from, to)
      if (!sorted) own.sort((a, b) => this.#compare(a, b))
      times.length = 0
      labels.length = 0
      for (let n = 0; n < own.length; n++) {
        const at = own[n]!
        if (!sorted && n > 0 && this.#compare(own[n - 1]!, at) === 0) continue
        times.push(this.#times[at]!)
        labels.push(this.#texts[this.#labels[at]!]!)
      }
      visit({ times, labels })
      from = to
    }
  }

  /** As points are ordered: by time, then key. */
  #compare(a: number, b: number): number {
    return this.#times[a]! - this.#times[b]! || this.#keys[a]! - this.#keys[b]!
  }

  /** Places of all moments, those of a person together: a counting sort, since persons are numbered without many holes. */
  #inOrderOfPersons(): Int32Array {
    const persons = this.#persons.subarray(0, this.#count)
    let least = 0
    let greatest = 0
    for (const person of persons) {
      if (person < least) least = person
      if (person > greatest) greatest = person
    }
    const next = new Int32Array(greatest - least + 2)
    for (const person of persons) next[person - least + 1]!++
    for (let n = 1; n < next.length; n++) next[n]! += next[n - 1]!
    const order = new Int32Array(persons.length)
    for (let at = 0; at < persons.length; at++) order[next[persons[at]! - least]!++] = at
    return order
  }
}

const doubled = <A extends Int32Array | Float64Array>(column: A, larger: A): A => {
  larger.set(column)
  return larger
}
