import { type Fact, type FactKey, factKey, type FactRow } from "../../domain/measure/Fact.ts"
import { EMPTY_POINTS, type Points } from "../../domain/measure/points.ts"
import { VarintReader, VarintWriter } from "./varint.ts"

/**
 * The facts table holds fragments: what one or more steps learnt of some identities of one block, 32 whose keys follow one
 * another. A fact is the join of what fragments say, so a step adds fragments and changes none. Identities that are met
 * together get keys together, so that a fragment of many steps' worth is few rows, and one of a few identities is small.
 *
 *     fragment:   length of the texts, [text, …] as JSON, then for each identity held, in the order of keys: length, entry
 *     entry:      number of rows, then for each month, mask, value, number of moments, moments
 *     moment:     time and event key, each less that of the moment before, and label
 *
 * Numbers are LEB128 varints, months and differences zigzag-coded; values and labels are places among the texts.
 */
export interface Fragment {
  readonly block: number
  /** Which identities of the block it tells of: bit n for the n-th. */
  readonly held: number
  readonly bytes: Uint8Array
}

const BLOCK_BITS = 5

/** The block of an identity. */
export const blockOf = (key: number): number => key >> BLOCK_BITS

/** The bit that stands for an identity in its block. */
export const bitOf = (key: number): number => 1 << (key & 31)

/** Keys by block, as `held` says them. */
export const blocksOf = (keys: Iterable<number>): Map<number, number> => {
  const blocks = new Map<number, number>()
  for (const key of keys) blocks.set(blockOf(key), (blocks.get(blockOf(key)) ?? 0) | bitOf(key))
  return blocks
}

/**
 * A fragment of several identities is no longer than this; one identity's may be. PostgreSQL moves what is longer than about
 * 2,000 bytes out of the row, which costs a second look-up.
 */
export const FRAGMENT_BYTES = 1_900

/** Packs facts, given in the order of their keys, into as few fragments as they fit in; of no rows nothing is said. */
export const packFragments = (facts: Iterable<readonly [key: number, rows: Iterable<FactRow>]>): Array<Fragment> => {
  const fragments: Array<Fragment> = []
  const entry = new VarintWriter(256)
  const body = new VarintWriter(2 * FRAGMENT_BYTES)
  let texts = new Texts()
  let block = 0
  let held = 0
  const finish = () => {
    if (held !== 0) fragments.push({ block, held, bytes: withTexts(texts, body.written) })
    body.clear()
    texts = new Texts()
    held = 0
  }
  for (const [key, rows] of facts) {
    if (blockOf(key) !== block) finish()
    block = blockOf(key)
    const told = [...rows]
    if (told.length === 0) continue
    entry.clear()
    writeEntry(entry, told, texts)
    if (held !== 0 && body.length + entry.length + texts.length > FRAGMENT_BYTES) {
      finish()
      entry.clear()
      writeEntry(entry, told, texts)
    }
    body.write(entry.length)
    body.writeBytes(entry.written)
    held |= bitOf(key)
  }
  finish()
  return fragments
}

const withTexts = (texts: Texts, body: Uint8Array): Uint8Array => {
  const head = new VarintWriter(body.length + texts.length + 16)
  const json = Buffer.from(texts.toJson())
  head.write(json.length)
  head.writeBytes(json)
  head.writeBytes(body)
  return head.written
}

const writeEntry = (out: VarintWriter, rows: ReadonlyArray<FactRow>, texts: Texts): void => {
  out.write(rows.length)
  for (const { month, mask, value, points } of rows) {
    out.writeSigned(month)
    out.write(mask)
    out.write(texts.place(value))
    out.write(points.times.length)
    let time = 0
    let key = 0
    for (let i = 0; i < points.times.length; i++) {
      out.writeSigned(points.times[i]! - time)
      out.writeSigned(points.keys[i]! - key)
      out.write(texts.place(points.labels[i]!))
      time = points.times[i]!
      key = points.keys[i]!
    }
  }
}

/** The texts of a fragment, each once. */
class Texts {
  readonly #places = new Map<string, number>()
  /** Units that they take, about. */
  length = 2

  place(text: string): number {
    let place = this.#places.get(text)
    if (place === undefined) {
      place = this.#places.size
      this.#places.set(text, place)
      this.length += text.length + 3
    }
    return place
  }

  toJson(): string {
    return JSON.stringify([...this.#places.keys()])
  }
}

/** Calls back with the facts of those identities that a fragment tells of and `wanted` names; all without it. */
export const unpackFragment = (
  { block, held, bytes }: Fragment,
  take: (key: number, fact: Fact) => void,
  wanted = -1,
): void => {
  const input = new VarintReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  const texts = JSON.parse(input.readText(input.read())) as ReadonlyArray<string>
  const first = block << BLOCK_BITS
  // The lowest bit that is left, and what is left without it.
  for (let rest = held; rest !== 0; rest &= rest - 1) {
    const bit = rest & -rest
    const length = input.read()
    if ((bit & wanted) === 0) input.skip(length)
    else take(first + 31 - Math.clz32(bit), readEntry(input, texts))
  }
}

/** Calls back with every moment that a fragment tells of, labels as `labelOf` says them. No objects are made of moments. */
export const unpackMoments = (
  { block, held, bytes }: Fragment,
  labelOf: (text: string) => number,
  take: (identity: number, time: number, key: number, label: number) => void,
): void => {
  const input = new VarintReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  const labels = (JSON.parse(input.readText(input.read())) as ReadonlyArray<string>).map(labelOf)
  const first = block << BLOCK_BITS
  for (let rest = held; rest !== 0; rest &= rest - 1) {
    const identity = first + 31 - Math.clz32(rest & -rest)
    input.read()
    for (let rows = input.read(); rows > 0; rows--) {
      // Month, mask and value.
      for (let skipped = 0; skipped < 3; skipped++) input.read()
      let time = 0
      let key = 0
      for (let moments = input.read(); moments > 0; moments--) {
        time += input.readSigned()
        key += input.readSigned()
        take(identity, time, key, labels[input.read()]!)
      }
    }
  }
}

const readEntry = (input: VarintReader, texts: ReadonlyArray<string>): Fact => {
  const fact = new Map<FactKey, FactRow>()
  for (let rows = input.read(); rows > 0; rows--) {
    const month = input.readSigned()
    const mask = input.read()
    const value = texts[input.read()]!
    fact.set(factKey(value, month), { value, month, mask, points: readPoints(input, texts) })
  }
  return fact
}

const readPoints = (input: VarintReader, texts: ReadonlyArray<string>): Points => {
  const count = input.read()
  if (count === 0) return EMPTY_POINTS
  const times: Array<number> = []
  const keys: Array<number> = []
  const labels: Array<string> = []
  let time = 0
  let key = 0
  for (let i = 0; i < count; i++) {
    time += input.readSigned()
    key += input.readSigned()
    times.push(time)
    keys.push(key)
    labels.push(texts[input.read()]!)
  }
  return { times, keys, labels }
}

/** Columns to copy fragments into. */
export const FACT_COLUMNS = ["measure", "block", "held", "fragment"] as const

/**
 * For a SELECT: all fragments it finds as one value, in hexadecimal. Drivers spend more on a row than on its bytes.
 * {@link unpackAll} reads it.
 */
export const PACKED_FRAGMENTS = `encode(string_agg(int4send(measure) || int4send(block) || int4send(held)
  || int4send(octet_length(fragment)) || fragment, ''), 'hex')`

/** Calls back with every fragment of what {@link PACKED_FRAGMENTS} gave. */
export const unpackAll = (packed: string | null, take: (measure: number, fragment: Fragment) => void): void => {
  if (packed === null) return
  const bytes = Buffer.from(packed, "hex")
  for (let at = 0; at < bytes.length;) {
    const from = at + 16
    const to = from + bytes.readInt32BE(at + 12)
    const block = bytes.readInt32BE(at + 4)
    const held = bytes.readInt32BE(at + 8)
    take(bytes.readInt32BE(at), { block, held, bytes: bytes.subarray(from, to) })
    at = to
  }
}
