/** Ways to break the pipeline on purpose, to see that the checkers notice. */
export const FLAWS = [
  /** The log acknowledges some batches that it never stores. */
  "acknowledges before storing",
  /** A commit looks at the position only. */
  "ignores the epoch",
  /** A projector that lost its partition goes on with what it holds: its step is committed onto whatever is there. */
  "does not reload after a conflict",
  /** A commit that fails has written its cells all the same. */
  "commits by halves",
  /** Two steps may settle the same person at once. */
  "locks nobody",
  /** What was done and reported as failed is done again. */
  "repeats what is unknown",
  /** New metrics are registered, and projectors at work don't hear of it. */
  "registers in silence",
  /** A build is taken over wherever it stands. */
  "adopts too early",
  /** What was read before a moment ago: the facts of persons who gained nothing new are left out. */
  "forgets older facts",
  /** Persons are counted while steps that saw them uncounted are made. */
  "counts beside steps",
  /** Repeats are counted. */
  "keeps no dedupe index",
] as const

export type Flaw = (typeof FLAWS)[number]

/** What must go on for a flaw to show, where it is rare otherwise. */
export const SHOWS_WITH: Readonly<Partial<Record<Flaw, ReadonlyArray<string>>>> = {
  "registers in silence": ["metrics change", "a process is frozen"],
  "adopts too early": ["metrics change"],
  "commits by halves": ["deadlock", "settled-again"],
  "repeats what is unknown": ["lost-answer"],
}

/** Which flaw a simulated world has; none in a healthy one. */
export class Flaws {
  readonly #flaw: Flaw | null

  constructor(flaw: Flaw | null = null) {
    this.#flaw = flaw
  }

  has(flaw: Flaw): boolean {
    return this.#flaw === flaw
  }

  /** Whether a batch is acknowledged and not stored. */
  forgetsAnAppend(number: number): boolean {
    return this.has("acknowledges before storing") && number % 7 === 0
  }
}
