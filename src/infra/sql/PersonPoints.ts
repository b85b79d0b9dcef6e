import { grownFloats, grownInts } from "../../domain/columns.ts"
import { Dictionary } from "../../domain/Dictionary.ts"
import type { TimedLabels } from "../../domain/measure/points.ts"

/** Room for so many points, and a quarter as many stretches, at first. */
const ROOM = 262_144

/**
 * The points of many persons, gathered in columns, and given person by person. Points come in stretches of one
 * person each, as fragments tell of them: 20 bytes a point and 8 a stretch.
 */
export class PersonPoints implements Iterable<TimedLabels> {
  readonly #labels = new Dictionary()
  #count = 0
  #times: Float64Array
  #keys: Float64Array
  #numbers: Int32Array
  #stretches = 0
  /** Of each stretch: whose it is, and where it begins. */
  #persons: Int32Array
  #starts: Int32Array

  constructor(room = ROOM) {
    this.#times = new Float64Array(room)
    this.#keys = new Float64Array(room)
    this.#numbers = new Int32Array(room)
    this.#persons = new Int32Array(room >> 2)
    this.#starts = new Int32Array(room >> 2)
  }

  /** The number that stands for a label. */
  readonly numberOf = (label: string): number => this.#labels.add(label)

  /** Adds a point, in any order and as often as may be. */
  readonly add = (time: number, eventKey: number, label: number): void => {
    const at = this.#count
    if (at === this.#times.length) {
      this.#times = grownFloats(this.#times, at + 1)
      this.#keys = grownFloats(this.#keys, at + 1)
      this.#numbers = grownInts(this.#numbers, at + 1)
    }
    this.#times[at] = time
    this.#keys[at] = eventKey
    this.#numbers[at] = label
    this.#count++
  }

  /** The points that are added from now on are this person's. */
  begin(person: number): void {
    const at = this.#stretches
    if (at === this.#persons.length) {
      this.#persons = grownInts(this.#persons, at + 1)
      this.#starts = grownInts(this.#starts, at + 1)
    }
    this.#persons[at] = person
    this.#starts[at] = this.#count
    this.#stretches++
  }

  *[Symbol.iterator](): Iterator<TimedLabels> {
    const order = this.#byPerson()
    for (let from = 0; from < order.length;) {
      const person = this.#persons[order[from]!]!
      let to = from + 1
      while (to < order.length && this.#persons[order[to]!] === person) to++
      const points = this.#pointsOf(order.subarray(from, to))
      if (points.times.length > 0) yield points
      from = to
    }
  }

  /** The points of some stretches, which are mostly in order as they come. */
  #pointsOf(stretches: Int32Array): TimedLabels {
    const times: Array<number> = []
    const labels: Array<string> = []
    let before = -1
    for (const stretch of stretches) {
      for (let at = this.#starts[stretch]!; at < this.#endOf(stretch); at++) {
        if (before >= 0 && this.#compare(before, at) >= 0) return this.#sorted(stretches)
        times.push(this.#times[at]!)
        labels.push(this.#labels.values[this.#numbers[at]!]!)
        before = at
      }
    }
    return { times, labels }
  }

  /** The same in the order of the points, each point once. */
  #sorted(stretches: Int32Array): TimedLabels {
    const places: Array<number> = []
    for (const stretch of stretches) {
      for (let at = this.#starts[stretch]!; at < this.#endOf(stretch); at++) places.push(at)
    }
    places.sort((a, b) => this.#compare(a, b))
    const unique = places.filter((at, n) => n === 0 || this.#compare(places[n - 1]!, at) !== 0)
    return {
      times: unique.map((at) => this.#times[at]!),
      labels: unique.map((at) => this.#labels.values[this.#numbers[at]!]!),
    }
  }

  #endOf(stretch: number): number {
    return stretch + 1 < this.#stretches ? this.#starts[stretch + 1]! : this.#count
  }

  /** As points are ordered: by time, then event key. */
  #compare(a: number, b: number): number {
    return this.#times[a]! - this.#times[b]! || this.#keys[a]! - this.#keys[b]!
  }

  /** All stretches, those of a person together: a counting sort, since persons are numbered without many holes. */
  #byPerson(): Int32Array {
    const persons = this.#persons.subarray(0, this.#stretches)
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
