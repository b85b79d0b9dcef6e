import { type Fingerprint, fingerprint } from "./fingerprint.ts"

/** What is kept of one batch so that later repeats of its events are known: stored in the read model, in one row. */
export interface DedupeEntry {
  readonly sequence: number
  /** Log time, ms. */
  readonly loggedAt: number
  /** Two 32-bit halves per event, in order; 0,0 where the event was itself a duplicate. */
  readonly fingerprints: Uint32Array
}

/** A counted event that may be the first copy of a later one. */
export interface Candidate {
  readonly sequence: number
  readonly place: number
}

/**
 * The event ids counted within the horizon of one partition: which earlier events may have the same id. It holds
 * fingerprints, 8 bytes an event and 4 more in a table that is up to 60 % full, and answers with places in the log; the
 * caller compares the ids themselves there. Which copy counts is thereby decided by the log alone.
 */
export class DedupeIndex {
  readonly #horizonMillis: number | null
  #entries: Array<DedupeEntry> = []
  /** Events before each entry of `#entries`. */
  #firstOrdinals: Array<number> = []
  #events = 0
  // Open addressing with linear probing: 1 + the event's ordinal, 0 = empty. Fingerprints are in the entries alone: to find
  // the entry takes some steps, and there are few to look at.
  #ordinals = new Uint32Array(1024)
  #used = 0
  readonly #scratch: Fingerprint = { low: 0, high: 0 }

  constructor(horizonMillis: number | null) {
    this.#horizonMillis = horizonMillis
  }

  /** The earliest log time (ms) that still counts for an event logged at `loggedAt`. */
  horizonAt(loggedAt: number): number {
    return this.#horizonMillis === null ? Number.NEGATIVE_INFINITY : loggedAt - this.#horizonMillis
  }

  /** Counted events within the horizon whose id may be this one. Nearly always none. */
  candidates(id: string, loggedAt: number): ReadonlyArray<Candidate> {
    fingerprint(id, this.#scratch)
    return this.#find(this.#scratch.low, this.#scratch.high, loggedAt)
  }

  /**
   * Begins the entry of the next batch, to be told of each event, in order, whether it counts: what counts is a candidate
   * for those after it.
   */
  begin(sequence: number, loggedAt: number, ids: ReadonlyArray<string>): DedupeEntry {
    const entry = DedupeIndex.entry(sequence, loggedAt, ids, () => true)
    this.#append(entry)
    return entry
  }

  /** As `candidates`, for an event of the entry that was begun. */
  candidatesOf({ fingerprints, loggedAt }: DedupeEntry, place: number): ReadonlyArray<Candidate> {
    return this.#find(fingerprints[2 * place]!, fingerprints[2 * place + 1]!, loggedAt)
  }

  /** The event of the entry that was begun counts. */
  count({ fingerprints }: DedupeEntry, place: number): void {
    const ordinal = this.#firstOrdinals.at(-1)! + place
    this.#insert(fingerprints[2 * place]!, ordinal)
  }

  /** The event of the entry that was begun is a repeat. */
  leaveOut({ fingerprints }: DedupeEntry, place: number): void {
    fingerprints[2 * place] = 0
    fingerprints[2 * place + 1] = 0
  }

  #find(low: number, high: number, loggedAt: number): ReadonlyArray<Candidate> {
    const mask = this.#ordinals.length - 1
    let found: Array<Candidate> | undefined
    for (let slot = low & mask; this.#ordinals[slot] !== 0; slot = (slot + 1) & mask) {
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

  /** The entry for a batch: fingerprints of the ids for which `counts`. */
  static entry(
    sequence: number,
    loggedAt: number,
    ids: ReadonlyArray<string>,
    counts: (place: number) => boolean,
  ): DedupeEntry {
    const fingerprints = new Uint32Array(ids.length * 2)
    const scratch: Fingerprint = { low: 0, high: 0 }
    for (let i = 0; i < ids.length; i++) {
      if (!counts(i)) continue
      fingerprint(ids[i]!, scratch)
      fingerprints[2 * i] = scratch.low
      fingerprints[2 * i + 1] = scratch.high
    }
    return { sequence, loggedAt, fingerprints }
  }

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
    this.#allocate(1024)
    for (const entry of kept) this.add(entry)
  }

  #insertAll({ fingerprints }: DedupeEntry, firstOrdinal: number): void {
    for (let i = 0; i < fingerprints.length / 2; i++) {
      const low = fingerprints[2 * i]!
      if (low !== 0 || fingerprints[2 * i + 1] !== 0) this.#insert(low, firstOrdinal + i)
    }
  }

  #insert(low: number, ordinal: number): void {
    const mask = this.#ordinals.length - 1
    let slot = low & mask
    while (this.#ordinals[slot] !== 0) slot = (slot + 1) & mask
    this.#ordinals[slot] = ordinal + 1
    this.#used++
  }

  #reserve(events: number): void {
    if (events * 5 <= this.#ordinals.length * 3) return
    let size = this.#ordinals.length
    while (events * 5 > size * 3) size *= 2
    this.#allocate(size)
    this.#entries.forEach((entry, n) => this.#insertAll(entry, this.#firstOrdinals[n]!))
  }

  #allocate(size: number): void {
    this.#ordinals = new Uint32Array(size)
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

const NONE: ReadonlyArray<Candidate> = []
