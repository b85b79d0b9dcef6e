import { type Fact, type FactKey, factKey, type FactRow } from "../../domain/measure/Fact.ts"
import { EMPTY_POINTS, type Points } from "../../domain/measure/points.ts"
import { bitOf, blockOf, identitiesOf } from "./blocks.ts"
import { VarintReader, VarintWriter } from "./varint.ts"

/**
 * The facts table holds fragments: what one or more steps learnt of some identities of one block. A fact is the join of what
 * fragments say, so a step adds fragments and changes none.
 *
 *     fragment:   length of the texts, [text, …] as JSON, then for each identity held, in the order of keys: length, entry
 *     entry:      number of rows, then for each month, mask, value, number of points, points
 *     point:      time and event key, each less that of the point before, and label
 *
 * Numbers are LEB128 varints, months and differences zigzag-coded; values and labels are places among the texts.
 */
export interface Fragment {
  readonly block: number
  /** Of whom it tells, as bits. */
  readonly held: number
  readonly bytes: Uint8Array
}

/**
 * A fragment of several identities is no longer than this; one identity's may be. PostgreSQL moves what is longer than about
 * 2,000 bytes out of the row, which costs a second look-up.
 */
export const FRAGMENT_BYTES = 1_900

/** Packs facts, each identity's once and in the order of their keys, into as few fragments as they fit in; no rows say nothing. */
export const packFragments = (
  facts: Iterable<readonly [identity: number, rows: Iterable<FactRow>]>,
): ReadonlyArray<Fragment> => {
  const fragments: Array<Fragment> = []
  let draft: Draft | null = null
  for (const [identity, rows] of facts) {
    const told = [...rows]
    if (told.length === 0) continue
    if (draft?.block === blockOf(identity) && draft.add(identity, told)) continue
    if (draft !== null) fragments.push(draft.finish())
    draft = new Draft(blockOf(identity))
    draft.add(identity, told)
  }
  if (draft !== null) fragments.push(draft.finish())
  return fragments
}

/** A fragment in the making. */
class Draft {
  readonly block: number
  #held = 0
  readonly #texts = new Texts()
  readonly #entries = new VarintWriter(512)
  readonly #entry = new VarintWriter(128)

  constructor(block: number) {
    this.block = block
  }

  /** Adds an identity of the block; `false`, and it is as before, when that would make it too long for several. */
  add(identity: number, rows: ReadonlyArray<FactRow>): boolean {
    const textsBefore = this.#texts.count
    this.#entry.clear()
    writeEntry(this.#entry, rows, this.#texts)
    const lengths = 2 * LENGTH_BYTES_MAX
    if (this.#held !== 0 && lengths + this.#texts.bytes + this.#entries.length + this.#entry.length > FRAGMENT_BYTES) {
      this.#texts.forgetFrom(textsBefore)
      return false
    }
    this.#entries.write(this.#entry.length)
    this.#entries.writeBytes(this.#entry.written)
    this.#held |= bitOf(identity)
    return true
  }

  finish(): Fragment {
    const json = Buffer.from(this.#texts.toJson())
    const out = new VarintWriter(LENGTH_BYTES_MAX + json.length + this.#entries.length)
    out.write(json.length)
    out.writeBytes(json)
    out.writeBytes(this.#entries.written)
    return { block: this.block, held: this.#held, bytes: out.written }
  }
}

/** Of a length below 2^35. */
const LENGTH_BYTES_MAX = 5

/** The texts of a fragment, each once, as JSON. */
class Texts {
  readonly #places = new Map<string, number>()
  readonly #json: Array<string> = []
  /** Of the array in JSON: a bracket, and for each text itself and a comma or the other bracket. */
  bytes = 1

  get count(): number {
    return this.#json.length
  }

  place(text: string): number {
    let place = this.#places.get(text)
    if (place === undefined) {
      const json = JSON.stringify(text)
      place = this.#json.push(json) - 1
      this.#places.set(text, place)
      this.bytes += Buffer.byteLength(json) + 1
    }
    return place
  }

  /** Takes back those from a place on. */
  forgetFrom(count: number): void {
    for (const json of this.#json.splice(count)) {
      this.#places.delete(JSON.parse(json) as string)
      this.bytes -= Buffer.byteLength(json) + 1
    }
  }

  toJson(): string {
    return `[${this.#json.join()}]`
  }
}

const writeEntry = (out: VarintWriter, rows: ReadonlyArray<FactRow>, texts: Texts): void => {
  out.write(rows.length)
  for (const { month, mask, value, points } of rows) {
    out.writeSigned(month)
    out.write(mask)
    out.write(texts.place(value))
    out.write(points.times.length)
    let time = 0
    let eventKey = 0
    for (let i = 0; i < points.times.length; i++) {
      out.writeSigned(points.times[i]! - time)
      out.writeSigned(points.keys[i]! - eventKey)
      out.write(texts.place(points.labels[i]!))
      time = points.times[i]!
      eventKey = points.keys[i]!
    }
  }
}

/** Calls back with the facts of those identities that a fragment tells of and the bits `wanted` name; all without it. */
export const unpackFragment = (
  { block, held, bytes }: Fragment,
  take: (identity: number, fact: Fact) => void,
  wanted = -1,
): void => {
  const input = new VarintReader(bytes)
  const texts = readTexts(input)
  for (const identity of identitiesOf(block, held)) {
    const length = input.read()
    if ((bitOf(identity) & wanted) === 0) input.skip(length)
    else take(identity, readEntry(input, texts))
  }
}

/**
 * Calls back with every identity that a fragment tells of, and then with each of its points: when, which event, and the number
 * of its label, which `numberOf` gives. Nothing is made of a point.
 */
export const unpackPoints = (
  { block, held, bytes }: Fragment,
  numberOf: (text: string) => number,
  begin: (identity: number) => void,
  take: (time: number, eventKey: number, label: number) => void,
): void => {
  const input = new VarintReader(bytes)
  const numbers = readTexts(input).map(numberOf)
  for (const identity of identitiesOf(block, held)) {
    begin(identity)
    input.read()
    for (let rows = input.read(); rows > 0; rows--) {
      // Month, mask and value.
      for (let skipped = 0; skipped < 3; skipped++) input.read()
      readPoints(input, (time, eventKey, label) => take(time, eventKey, numbers[label]!))
    }
  }
}

const readTexts = (input: VarintReader): ReadonlyArray<string> =>
  JSON.parse(input.readText(input.read())) as ReadonlyArray<string>

const readEntry = (input: VarintReader, texts: ReadonlyArray<string>): Fact => {
  const fact = new Map<FactKey, FactRow>()
  for (let rows = input.read(); rows > 0; rows--) {
    const month = input.readSigned()
    const mask = input.read()
    const value = texts[input.read()]!
    const times: Array<number> = []
    const keys: Array<number> = []
    const labels: Array<string> = []
    readPoints(input, (time, eventKey, label) => {
      times.push(time)
      keys.push(eventKey)
      labels.push(texts[label]!)
    })
    const points: Points = times.length === 0 ? EMPTY_POINTS : { times, keys, labels }
    fact.set(factKey(value, month), { value, month, mask, points })
  }
  return fact
}

/** Calls back with the points of one row; labels as places among the texts. */
const readPoints = (input: VarintReader, visit: (time: number, eventKey: number, label: number) => void): void => {
  let time = 0
  let eventKey = 0
  for (let left = input.read(); left > 0; left--) {
    time += input.readSigned()
    eventKey += input.readSigned()
    visit(time, eventKey, input.read())
  }
}
