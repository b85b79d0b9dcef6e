import { grownFloats, grownInts } from "../../domain/columns.ts"
import { Dictionary } from "../../domain/Dictionary.ts"
import type { TimedLabels } from "../../domain/measure/points.ts"

/** Room for so many points at first. */
const ROOM = 1024

/** The points of many persons, gathered in columns, of 24 bytes a point, and given person by person. */
export class PersonPoints implements Iterable<TimedLabels> {
  readonly #labels = new Dictionary()
  #count = 0
  #persons: Int32Array = new Int32Array(ROOM)
  #times: Float64Array = new Float64Array(ROOM)
  #keys: Float64Array = new Float64Array(ROOM)
  #numbers: Int32Array = new Int32Array(ROOM)

  /** The number that stands for a label. */
  readonly numberOf = (label: string): number => this.#labels.add(label)

  /** Adds a point of a person, in any order and as often as may be. */
  add(person: number, time: number, eventKey: number, label: number): void {
    const at = this.#count
    if (at === this.#times.length) {
      this.#persons = grownInts(this.#persons, at + 1)
      this.#times = grownFloats(this.#times, at + 1)
      this.#keys = grownFloats(this.#keys, at + 1)
      this.#numbers = grownInts(this.#numbers, at + 1)
    }
    this.#persons[at] = person
    this.#times[at] = time
    this.#keys[at] = eventKey
    this.#numbers[at] = label
    this.#count++
  }

  *[Symbol.iterator](): Iterator<TimedLabels> {
    const order = this.#byPerson()
    for (let from = 0; from < order.length;) {
      const person = this.#persons[order[from]!]!
      let to = from + 1
      let ordered = true
      for (; to < order.length && this.#persons[order[to]!] === person; to++) {
        ordered &&= this.#compare(order[to - 1]!, order[to]!) < 0
      }
      yield this.#pointsAt(ordered ? order.subarray(from, to) : this.#inOrder(order.subarray(from, to)))
      from = to
    }
  }

  #pointsAt(places: Int32Array): TimedLabels {
    const times: Array<number> = []
    const labels: Array<string> = []
    for (const at of places) {
      times.push(this.#times[at]!)
      labels.push(this.#labels.values[this.#numbers[at]!]!)
    }
    return { times, labels }
  }

  /** The same places in the order of their points, each point once. */
  #inOrder(places: Int32Array): Int32Array {
    places.sort((a, b) => this.#compare(a, b))
    return places.filter((at, n) => n === 0 || this.#compare(places[n - 1]!, at) !== 0)
  }

  /** As points are ordered: by time, then event key. */
  #compare(a: number, b: number): number {
    return this.#times[a]! - this.#times[b]! || this.#keys[a]! - this.#keys[b]!
  }

  /** Places of all points, those of a person together: a counting sort, since persons are numbered without many holes. */
  #byPerson(): Int32Array {
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
