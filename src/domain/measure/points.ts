/**
 * A set of moments at which a distinct id did something that a measure remembers: (time, event key, label), ordered by
 * time, then key. The event key names one event of the log (`eventKey`), so a set of points is a join-semilattice under
 * union: taking the same event in twice changes nothing.
 */
export interface Points {
  /** ms since 1970, ascending. */
  readonly times: ReadonlyArray<number>
  readonly keys: ReadonlyArray<number>
  /** What the measure noted of the event. */
  readonly labels: ReadonlyArray<string>
}

export const EMPTY_POINTS: Points = { times: [], keys: [], labels: [] }

/**
 * The number of one event in the log, unique and fixed by where its batch stands: sequence (32 bits), place in the
 * batch (12 bits), partition (8 bits): below 2^52, so that differences stay exact when doubled for the zigzag code.
 */
export const eventKey = (partition: number, sequence: number, place: number): number =>
  (sequence * 4096 + place) * 256 + partition

const precedes = (a: Points, i: number, b: Points, j: number): boolean =>
  a.times[i]! !== b.times[j]! ? a.times[i]! < b.times[j]! : a.keys[i]! < b.keys[j]!

/** The union. Associative, commutative, idempotent. */
export const joinPoints = (a: Points, b: Points): Points => {
  if (a.times.length === 0) return b
  if (b.times.length === 0) return a
  const times: Array<number> = []
  const keys: Array<number> = []
  const labels: Array<string> = []
  let i = 0
  let j = 0
  while (i < a.times.length || j < b.times.length) {
    const fromA = j >= b.times.length || (i < a.times.length && !precedes(b, j, a, i))
    if (fromA && j < b.times.length && !precedes(a, i, b, j)) j++ // the same event on both sides
    const source = fromA ? a : b
    const at = fromA ? i++ : j++
    times.push(source.times[at]!)
    keys.push(source.keys[at]!)
    labels.push(source.labels[at]!)
  }
  return { times, keys, labels }
}

/** Makes the set of points that were noted in any order, possibly repeated. */
export const sortPoints = (points: Points): Points => {
  const { times, keys, labels } = points
  let sorted = true
  for (let i = 1; i < times.length && sorted; i++) sorted = precedes(points, i - 1, points, i)
  if (sorted) return points
  const order = Array.from(times, (_, i) => i).sort((i, j) => times[i]! - times[j]! || keys[i]! - keys[j]!)
  const unique = order.filter(
    (at, n) => n === 0 || keys[at] !== keys[order[n - 1]!] || times[at] !== times[order[n - 1]!],
  )
  return {
    times: unique.map((at) => times[at]!),
    keys: unique.map((at) => keys[at]!),
    labels: unique.map((at) => labels[at]!),
  }
}

/** The points before an instant (exclusive) and those from it on. Joining the two gives back the whole. */
export const splitPoints = (points: Points, instant: number): readonly [before: Points, from: Points] => {
  let at = points.times.findIndex((time) => time >= instant)
  if (at === -1) at = points.times.length
  const part = (start: number, end: number): Points => ({
    times: points.times.slice(start, end),
    keys: points.keys.slice(start, end),
    labels: points.labels.slice(start, end),
  })
  return [part(0, at), part(at, points.times.length)]
}

/**
 * Packs points for storage: a count, then per point the time (difference to the one before), the key (zigzag
 * difference) and the label (number), all as LEB128 varints; then the labels as one JSON array.
 */
export const encodePoints = (points: Points): Uint8Array => {
  const dictionary = new Map<string, number>()
  const out = new VarintWriter(16 + points.times.length * 8)
  out.write(points.times.length)
  let time = 0
  let key = 0
  for (let i = 0; i < points.times.length; i++) {
    const label = points.labels[i]!
    let number = dictionary.get(label)
    if (number === undefined) {
      number = dictionary.size
      dictionary.set(label, number)
    }
    out.writeSigned(points.times[i]! - time)
    out.writeSigned(points.keys[i]! - key)
    out.write(number)
    time = points.times[i]!
    key = points.keys[i]!
  }
  return out.finish(JSON.stringify([...dictionary.keys()]))
}

/** Unpacks what {@link encodePoints} packed. */
export const decodePoints = (bytes: Uint8Array): Points => {
  const input = new VarintReader(bytes)
  const count = input.read()
  const times: Array<number> = []
  const keys: Array<number> = []
  const numbers: Array<number> = []
  let time = 0
  let key = 0
  for (let i = 0; i < count; i++) {
    time += input.readSigned()
    key += input.readSigned()
    times.push(time)
    keys.push(key)
    numbers.push(input.read())
  }
  const dictionary = JSON.parse(input.rest()) as ReadonlyArray<string>
  return { times, keys, labels: numbers.map((number) => dictionary[number]!) }
}

/** Writes non-negative safe integers as LEB128; bit operators stop at 32 bits, so it divides. */
class VarintWriter {
  #bytes: Buffer
  #length = 0

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  write(value: number): void {
    if (this.#length + 8 > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.allocUnsafe(this.#bytes.length + 16)])
    }
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  writeSigned(value: number): void {
    this.write(value < 0 ? -value * 2 - 1 : value * 2)
  }

  finish(tail: string): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#length + Buffer.byteLength(tail))
    this.#bytes.copy(bytes, 0, 0, this.#length)
    bytes.write(tail, this.#length)
    return bytes
  }
}

class VarintReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  read(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.#bytes[this.#at++]!
      if (byte < 128) return value + byte * scale
      value += (byte - 128) * scale
      scale *= 128
    }
  }

  readSigned(): number {
    const value = this.read()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  rest(): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, this.#bytes.length - this.#at).toString()
  }
}
