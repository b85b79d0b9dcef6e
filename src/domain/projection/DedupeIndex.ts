import { fingerprintsOf } from "./fingerprint.ts"

/** What is kept of one batch so that later repeats of its events are known: stored in the read model, in one row. */
export interface DedupeEntry {
  readonly sequence: number
  /** Log time, ms. */
  readonly loggedAt: number
  /** Two 32-bit halves per event, in order; 0,0 where the event was itself a duplicate. */
  readonly fingerprints: Uint32Array
}

const SLOTS_MIN = 1024

/** Share of the table that may be taken: beyond it, events are found by looking at many others. */
const FULL = 0.85

/** By how much the table grows: a quarter costs some more copying than twice, and leaves less of it empty. */
const GROWTH = 1.25

/** A counted event that may be the first copy of a later one. */
export interface Candidate {
  readonly sequence: number
  readonly place: number
}

/**
 * The event ids counted within the horizon of one partition: which earlier events may have the same id. It holds
 * fingerprints, 8 bytes an event and 5 more in a table that is up to 85 % full, and answers with places in the log; the
 * caller compares the ids themselves there. Which copy counts is thereby decided by the log alone.
 */
export class DedupeIndex {
  readonly #horizonMillis: number | null
  #entries: Array<DedupeEntry> = []
  /** Events before each entry of `#entries`. */
  #firstOrdinals: Array<number> = []
  #events = 0
  // Open addressing with linear probing: 1 + the event's ordinal, 0 = empty, and beside it 8 bits of its fingerprint. The
  // fingerprint itself is in an entry, which takes some steps to find, and with other 8 bits need not be looked at.
  #ordinals = new Uint32Array(SLOTS_MIN)
  #tags = new Uint8Array(SLOTS_MIN)
  #used = 0

  constructor(horizonMillis: number | null) {
    this.#horizonMillis = horizonMillis
  }

  /** The earliest log time (ms) that still counts for an event logged at `loggedAt`. */
  horizonAt(loggedAt: number): number {
    return this.#horizonMillis === null ? Number.NEGATIVE_INFINITY : loggedAt - this.#horizonMillis
  }

  /** Begins the next batch, to be told of each of its events, in order, whether it counts: what does is a candidate for the rest. */
  begin(sequence: number, loggedAt: number, ids: ReadonlyArray<string>): DedupeEntry {
    const entry = { sequence, loggedAt, fingerprints: fingerprintsOf(ids) }
    this.#append(entry)
    return entry
  }

  /** Counted events within the horizon whose id may be that of an event of the batch that was begun. Nearly always none. */
  candidatesOf(place: number): ReadonlyArray<Candidate> {
    const { fingerprints, loggedAt } = this.#entries.at(-1)!
    return this.#find(fingerprints[2 * place]!, fingerprints[2 * place + 1]!, loggedAt)
  }

  /** An event of the batch that was begun counts. */
  keep(place: number): void {
    const { fingerprints } = this.#entries.at(-1)!
    this.#insert(fingerprints[2 * place]!, fingerprints[2 * place + 1]!, this.#firstOrdinals.at(-1)! + place)
  }

  /** An event of the batch that was begun is a repeat. */
  leaveOut(place: number): void {
    this.#entries.at(-1)!.fingerprints.fill(0, 2 * place, 2 * place + 2)
  }

  #find(low: number, high: number, loggedAt: number): ReadonlyArray<Candidate> {
    let found: Array<Candidate> | undefined
    for (let slot = this.#home(low); this.#ordinals[slot] !== 0; slot = this.#after(slot)) {
      if (this.#tags[slot] !== tagOf(high)) continue
      const ordinal = this.#ordinals[slot]! - 1
      const n = this.#entryOf(ordinal)
      const { sequence, loggedAt: since, fingerprints } = this.#entries[n]!
      const place = ordinal - this.#firstOrdinals[n]!
      if (fingerprints[2 * place] !== low || fingerprints[2 * place + 1] !== high) continue
      if (since < this.horizonAt(loggedAt)) continue
      found ??= []
      found.push({ sequence, place })
    }
    return found ?? NONE
  }

  /** Adds a batch of which everything is known, such as one that was stored. */
  add(entry: DedupeEntry): void {
    this.#append(entry)
    this.#insertAll(entry, this.#firstOrdinals.at(-1)!)
  }

  /** Makes room for an entry that is not in the table yet. */
  #append(entry: DedupeEntry): void {
    const events = entry.fingerprints.length / 2
    this.#reserve(this.#used + events)
    this.#entries.push(entry)
    this.#firstOrdinals.push(this.#events)
    this.#events += events
  }

  /** Forgets batches logged before an instant (ms), once that frees at least half of the table. */
  forgetBefore(instant: number): void {
    const kept = this.#entries.filter((entry) => entry.loggedAt >= instant)
    const events = kept.reduce((sum, entry) => sum + entry.fingerprints.length / 2, 0)
    if (events * 2 > this.#events || kept.length === this.#entries.length) return
    this.#entries = []
    this.#firstOrdinals = []
    this.#events = 0
    this.#allocate(SLOTS_MIN)
    for (const entry of kept) this.add(entry)
  }

  #insertAll({ fingerprints }: DedupeEntry, firstOrdinal: number): void {
    for (let i = 0; i < fingerprints.length / 2; i++) {
      const low = fingerprints[2 * i]!
      const high = fingerprints[2 * i + 1]!
      if (low !== 0 || high !== 0) this.#insert(low, high, firstOrdinal + i)
    }
  }

  #insert(low: number, high: number, ordinal: number): void {
    let slot = this.#home(low)
    while (this.#ordinals[slot] !== 0) slot = this.#after(slot)
    this.#ordinals[slot] = ordinal + 1
    this.#tags[slot] = tagOf(high)
    this.#used++
  }

  /** Where an event is looked for first: the table has any size, so it is the same share of it as of all fingerprints. */
  #home(low: number): number {
    return Math.floor((low / 2 ** 32) * this.#ordinals.length)
  }

  #after(slot: number): number {
    return slot + 1 === this.#ordinals.length ? 0 : slot + 1
  }

  #reserve(events: number): void {
    const slots = this.#ordinals.length
    if (events <= slots * FULL) return
    this.#allocate(Math.ceil(Math.max(slots * GROWTH, events / FULL)))
    this.#entries.forEach((entry, n) => this.#insertAll(entry, this.#firstOrdinals[n]!))
  }

  #allocate(size: number): void {
    this.#ordinals = new Uint32Array(size)
    this.#tags = new Uint8Array(size)
    this.#used = 0
  }

  /** Place in `#entries` of the batch that holds an ordinal. */
  #entryOf(ordinal: number): number {
    let low = 0
    let high = this.#firstOrdinals.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#firstOrdinals[middle]! <= ordinal) low = middle
      else high = middle - 1
    }
    return low
  }
}

const tagOf = (high: number): number => high & 0xff

const NONE: ReadonlyArray<Candidate> = []
