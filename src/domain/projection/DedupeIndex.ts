import { type Candidate, DedupeTable, NONE } from "./DedupeTable.ts"
import { fingerprintsOf } from "./fingerprint.ts"

/** What is kept of one batch so that later repeats of its events are known: stored in the read model, in one row. */
export interface DedupeEntry {
  readonly sequence: number
  /** Log time, ms. */
  readonly loggedAt: number
  /** Two 32-bit halves per event, in order; 0,0 where the event was itself a duplicate. */
  readonly fingerprints: Uint32Array
}

/** A table is closed after this share of the horizon, so that what is beyond it can be let go of a table at a time. */
const TABLES_PER_HORIZON = 4

/**
 * The event ids counted within the horizon of one partition: which earlier events may have the same id. It holds
 * fingerprints, about 11 bytes an event, of the horizon and up to a quarter more, and answers with places in the log; the
 * caller compares the ids themselves there. Which copy counts is thereby decided by the log alone.
 */
export class DedupeIndex {
  readonly #horizonMillis: number | null
  /** From the oldest on; the last one grows. */
  #tables: Array<DedupeTable> = [new DedupeTable()]
  /** The batch that was begun last. */
  #begun: DedupeEntry = { sequence: 0, loggedAt: 0, fingerprints: new Uint32Array() }

  constructor(horizonMillis: number | null) {
    this.#horizonMillis = horizonMillis
  }

  /** The earliest log time (ms) that still counts for an event logged at `loggedAt`. */
  horizonAt(loggedAt: number): number {
    return this.#horizonMillis === null ? Number.NEGATIVE_INFINITY : loggedAt - this.#horizonMillis
  }

  /**
   * Begins the next batch, to be told of each of its events, in order, whether it counts: what does is a candidate for the
   * rest. Log time (ms) never falls from one batch to the next.
   */
  begin(sequence: number, loggedAt: number, ids: ReadonlyArray<string>): DedupeEntry {
    this.#begun = { sequence, loggedAt, fingerprints: fingerprintsOf(ids) }
    this.#append(this.#begun)
    return this.#begun
  }

  /** Counted events within the horizon whose id may be that of an event of the batch that was begun. Nearly always none. */
  candidatesOf(place: number): ReadonlyArray<Candidate> {
    const { fingerprints, loggedAt } = this.#begun
    const from = this.horizonAt(loggedAt)
    let found = NONE
    for (const table of this.#tables) {
      const more = table.find(fingerprints[2 * place]!, fingerprints[2 * place + 1]!, from)
      if (more !== NONE) found = found === NONE ? more : [...found, ...more]
    }
    return found
  }

  /** An event of the batch that was begun counts. */
  keep(place: number): void {
    const { fingerprints } = this.#begun
    this.#tables.at(-1)!.count(place, fingerprints[2 * place]!, fingerprints[2 * place + 1]!)
  }

  /** An event of the batch that was begun is a repeat. */
  leaveOut(place: number): void {
    this.#begun.fingerprints.fill(0, 2 * place, 2 * place + 2)
  }

  /** Adds a batch of which everything is known, such as one that was stored. */
  add(entry: DedupeEntry): void {
    const table = this.#append(entry)
    const { fingerprints } = entry
    for (let place = 0; place < fingerprints.length / 2; place++) {
      const low = fingerprints[2 * place]!
      const high = fingerprints[2 * place + 1]!
      if (low !== 0 || high !== 0) table.count(place, low, high)
    }
  }

  /** Events held, those that were repeats included. */
  get size(): number {
    return this.#tables.reduce((sum, { size }) => sum + size, 0)
  }

  #append({ sequence, loggedAt, fingerprints }: DedupeEntry): DedupeTable {
    // What is beyond the horizon is beyond it for all that come, so it is let go of, a table at a time.
    while (this.#tables.length > 1 && this.#tables[0]!.until < this.horizonAt(loggedAt)) this.#tables.shift()
    let table = this.#tables.at(-1)!
    const spans = loggedAt - table.since
    const isOver = this.#horizonMillis !== null && spans > this.#horizonMillis / TABLES_PER_HORIZON
    if (isOver || !table.hasRoomFor(fingerprints.length / 2)) {
      table = new DedupeTable()
      this.#tables.push(table)
    }
    table.append(sequence, loggedAt, fingerprints)
    return table
  }
}
