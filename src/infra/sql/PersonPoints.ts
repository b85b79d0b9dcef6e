import { grownFloats, grownInts } from "../../domain/columns.ts"
import { Dictionary } from "../../domain/Dictionary.ts"
import type { EachPerson, TimedLabels } from "../../domain/measure/points.ts"

/** Room for so many points, and a quarter as many stretches, at first; what has to grow grows to so many times that. */
const ROOM = 16_384
const GROWS_BY = 4

/** Room for so many points of one person at first. */
const ROOM_OF_PERSON = 256

/** Up to so many points are sorted by putting each in its place: most of them are in order. */
const FEW = 64

/**
 * The points of many persons, gathered in columns, and given person by person. Points come in stretches of one
 * person each, as fragments tell of them: 20 bytes a point and 8 a stretch.
 */
export class PersonPoints {
  readonly #labels = new Dictionary()
  #count = 0
  #times: Float64Array
  #keys: Float64Array
  #numbers: Int32Array
  #stretches = 0
  /** Of each stretch: whose it is, by identity and then by person, and where it begins. */
  #persons: Int32Array
  #starts: Int32Array
  /** Where the points of one person are, and what is given of them. */
  #places = new Int32Array(ROOM_OF_PERSON)
  #given = { count: 0, times: new Float64Array(ROOM_OF_PERSON), labels: Array<string>() }

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
      this.#times = grownFloats(this.#times, GROWS_BY * at)
      this.#keys = grownFloats(this.#keys, GROWS_BY * at)
      this.#numbers = grownInts(this.#numbers, GROWS_BY * at)
    }
    this.#times[at] = time
    this.#keys[at] = eventKey
    this.#numbers[at] = label
    this.#count++
  }

  /** The points that are added from now on are this identity's. */
  readonly begin = (identity: number): void => {
    const at = this.#stretches
    if (at === this.#persons.length) {
      this.#persons = grownInts(this.#persons, GROWS_BY * at)
      this.#starts = grownInts(this.#starts, GROWS_BY * at)
    }
    this.#persons[at] = identity
    this.#starts[at] = this.#count
    this.#stretches++
  }

  /** Calls back with the points of each person that has any: in order, each once. To be asked for once. */
  of(personOf: (identity: number) => number): EachPerson {
    for (let n = 0; n < this.#stretches; n++) this.#persons[n] = personOf(this.#persons[n]!)
    return (visit) => this.#each(visit)
  }

  #each(visit: (points: TimedLabels) => void): void {
    const order = this.#byPerson()
    for (let from = 0; from < order.length;) {
      const person = this.#persons[order[from]!]!
      let to = from + 1
      while (to < order.length && this.#persons[order[to]!] === person) to++
      const points = this.#pointsOf(order, from, to)
      if (points.count > 0) visit(points)
      from = to
    }
  }

  /** The points of some stretches. */
  #pointsOf(order: Int32Array, from: number, to: number): TimedLabels {
    const count = this.#placesOf(order, from, to)
    const places = this.#places
    const { times, labels } = this.#given
    for (let n = 0; n < count; n++) {
      times[n] = this.#times[places[n]!]!
      labels[n] = this.#labels.values[this.#numbers[places[n]!]!]!
    }
    this.#given.count = count
    return this.#given
  }

  /** Puts down where the points of some stretches are, in order and each once; gives how many. */
  #placesOf(order: Int32Array, from: number, to: number): number {
    let all = 0
    for (let n = from; n < to; n++) all += this.#endOf(order[n]!) - this.#starts[order[n]!]!
    if (all > this.#places.length) this.#makeRoom(2 * all)
    const places = this.#places
    let count = 0
    let sorted = true
    for (let n = from; n < to; n++) {
      const end = this.#endOf(order[n]!)
      for (let at = this.#starts[order[n]!]!; at < end; at++) {
        sorted &&= count === 0 || this.#compare(places[count - 1]!, at) < 0
        places[count++] = at
      }
    }
    return sorted ? count : this.#sort(count)
  }

  /** Sorts so many places by the points there, and leaves out what is there twice; gives how many are left. */
  #sort(all: number): number {
    const places = this.#places
    if (all > FEW) places.subarray(0, all).sort((a, b) => this.#compare(a, b))
    else {
      for (let n = 1; n < all; n++) {
        const place = places[n]!
        let at = n
        for (; at > 0 && this.#compare(places[at - 1]!, place) > 0; at--) places[at] = places[at - 1]!
        places[at] = place
      }
    }
    let count = 1
    for (let n = 1; n < all; n++) {
      if (this.#compare(places[count - 1]!, places[n]!) !== 0) places[count++] = places[n]!
    }
    return count
  }

  #makeRoom(room: number): void {
    this.#places = new Int32Array(room)
    this.#given = { count: 0, times: new Float64Array(room), labels: [] }
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
