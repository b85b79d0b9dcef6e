/** Events of one table at most: a slot has 24 bits to tell them apart, and one value for an empty slot. */
export const TABLE_EVENTS_MAX = 2 ** 24 - 1

const ORDINAL_MASK = TABLE_EVENTS_MAX
const TAG_MASK = 0xff << 24

const SLOTS_MIN = 1024

/** Share of the slots that may be taken: beyond it, events are found by looking at many others. */
const FULL = 0.88

/** By how much a large table grows: little at a time costs some more copying than twice, and leaves less of it empty. */
const GROWTH = 1.2

/** One with fewer slots doubles. */
const LARGE = 2 ** 16

/** Fingerprints of so many events lie in one piece of memory: the last piece is not full. */
const PIECE_BITS = 12
const PIECE_MASK = 2 ** PIECE_BITS - 1

/** A counted event that may be the first copy of a later one. */
export interface Candidate {
  readonly sequence: number
  readonly place: number
}

/** Nearly every answer, and always the same one. */
export const NONE: ReadonlyArray<Candidate> = []

interface Held {
  readonly sequence: number
  /** Log time, ms. */
  readonly loggedAt: number
  /** Events of the table before this batch. */
  readonly first: number
}

/**
 * Which of up to 16.7 million events may have an id: a hash table of 56 bits of their fingerprints, in about 11 bytes an
 * event. Fingerprints come as two unsigned 32-bit halves. Events are added by batches, in the order of the log.
 */
export class DedupeTable {
  readonly #batches: Array<Held> = []
  #events = 0
  // By ordinal: the low half, and the upper 16 bits of the high one.
  readonly #lows: Array<Uint32Array> = []
  readonly #uppers: Array<Uint16Array> = []
  // Open addressing with linear probing. A slot has 1 + the ordinal of an event, 0 = empty, and above it the lower 8 bits of
  // its high half, which are nowhere else: nearly all events that are not meant are told by them, without another look.
  #slots = new Uint32Array(SLOTS_MIN)
  #used = 0

  /** Log time of the first batch, ms; infinite before there is one. */
  get since(): number {
    return this.#batches[0]?.loggedAt ?? Number.POSITIVE_INFINITY
  }

  /** Log time of the last batch, ms. */
  get until(): number {
    return this.#batches.at(-1)?.loggedAt ?? Number.NEGATIVE_INFINITY
  }

  /** Events held, those that don't count included. */
  get size(): number {
    return this.#events
  }

  hasRoomFor(events: number): boolean {
    return this.#events + events <= TABLE_EVENTS_MAX
  }

  /** Adds the next batch, whose events are found once they count. */
  append(sequence: number, loggedAt: number, fingerprints: Uint32Array): void {
    const events = fingerprints.length / 2
    this.#batches.push({ sequence, loggedAt, first: this.#events })
    for (let i = 0; i < events; i++) this.#keep(this.#events + i, fingerprints[2 * i]!, fingerprints[2 * i + 1]!)
    this.#events += events
    this.#reserve(this.#used + events)
  }

  /** An event of the last batch counts. */
  count(place: number, low: number, high: number): void {
    this.#insert(low, ((high & 0xff) << 24) | (this.#batches.at(-1)!.first + place + 1))
  }

  /** The counted events of these bits that were logged at `from` (ms) or later. */
  find(low: number, high: number, from: number): ReadonlyArray<Candidate> {
    let found = NONE
    const slots = this.#slots
    const tag = (high & 0xff) << 24
    for (let slot = this.#home(low); slots[slot] !== 0; slot = this.#after(slot)) {
      if ((slots[slot]! & TAG_MASK) !== tag) continue
      const ordinal = (slots[slot]! & ORDINAL_MASK) - 1
      if (this.#low(ordinal) !== low || this.#upper(ordinal) !== high >>> 16) continue
      const { sequence, loggedAt, first } = this.#batchOf(ordinal)
      if (loggedAt >= from) found = [...found, { sequence, place: ordinal - first }]
    }
    return found
  }

  #keep(ordinal: number, low: number, high: number): void {
    const piece = ordinal >>> PIECE_BITS
    if (piece === this.#lows.length) {
      this.#lows.push(new Uint32Array(PIECE_MASK + 1))
      this.#uppers.push(new Uint16Array(PIECE_MASK + 1))
    }
    this.#lows[piece]![ordinal & PIECE_MASK] = low
    this.#uppers[piece]![ordinal & PIECE_MASK] = high >>> 16
  }

  #low(ordinal: number): number {
    return this.#lows[ordinal >>> PIECE_BITS]![ordinal & PIECE_MASK]!
  }

  #upper(ordinal: number): number {
    return this.#uppers[ordinal >>> PIECE_BITS]![ordinal & PIECE_MASK]!
  }

  #insert(low: number, value: number): void {
    let slot = this.#home(low)
    while (this.#slots[slot] !== 0) slot = this.#after(slot)
    this.#slots[slot] = value
    this.#used++
  }

  /** Where an event is looked for first: the table has any size, so it is the same share of it as of all fingerprints. */
  #home(low: number): number {
    return Math.floor((low / 2 ** 32) * this.#slots.length)
  }

  #after(slot: number): number {
    return slot + 1 === this.#slots.length ? 0 : slot + 1
  }

  #reserve(events: number): void {
    const slots = this.#slots
    if (events <= slots.length * FULL) return
    const grown = slots.length < LARGE ? 2 * slots.length : Math.ceil(slots.length * GROWTH)
    this.#slots = new Uint32Array(Math.max(grown, Math.ceil(events / FULL)))
    this.#used = 0
    for (const value of slots) if (value !== 0) this.#insert(this.#low((value & ORDINAL_MASK) - 1), value)
  }

  /** The batch that holds an event. */
  #batchOf(ordinal: number): Held {
    let low = 0
    let high = this.#batches.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#batches[middle]!.first <= ordinal) low = middle
      else high = middle - 1
    }
    return this.#batches[low]!
  }
}
