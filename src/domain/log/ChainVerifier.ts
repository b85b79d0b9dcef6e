import { Result } from "effect"
import type { Batch } from "./batch.ts"
import { LogDamaged } from "./errors.ts"

/** The last batch seen of each writer: its number, its checksum, and its log time in ms; those seen last come last. */
export type ChainState = Readonly<Record<string, ChainEnd>>

interface ChainEnd {
  readonly number: number
  readonly sum: string
  readonly loggedAt: number
}

/** How long after its last batch a chain is remembered, in ms of log time, where writers come and go. */
export const CHAIN_MEMORY_MILLIS = 7 * 86_400_000

/** Chains that are remembered however old they seem: one wrong clock must not make all others forgotten. */
const CHAINS_KEPT = 64

/**
 * Follows the chains of all writers in one partition, record by record: every writer numbers its batches and names the
 * checksum of the one before, so a record that is missing, doubled, out of place or from another history is seen.
 */
export class ChainVerifier {
  readonly #partition: number
  readonly #last: Map<string, ChainEnd>
  readonly #trimmed: boolean

  /** `trimmed`: the log is read from a front that was cut off, so a writer may be met in the middle of its chain. */
  constructor(partition: number, state: ChainState = {}, trimmed = false) {
    this.#partition = partition
    this.#last = new Map(Object.entries(state))
    this.#trimmed = trimmed
  }

  /** Takes the next record; a failure says what is missing, and leaves the state as it was. */
  accept(sequence: number, batch: Batch): Result.Result<void, LogDamaged> {
    const { writer, number, previous, partition, loggedAt } = batch.origin
    const last = this.#last.get(writer) ?? (this.#trimmed ? { number: number - 1, sum: previous } : undefined)
    const expected = (last?.number ?? 0) + 1
    const damaged = (problem: string) => Result.fail(new LogDamaged({ partition: this.#partition, sequence, problem }))
    if (partition !== this.#partition)
      return damaged(`a batch of partition ${partition} stands in partition ${this.#partition}`)
    if (number > expected) {
      const missing = number - expected
      return damaged(
        missing === 1
          ? `batch ${expected} of writer ${writer} is missing`
          : `${missing} batches of writer ${writer} are missing, ${expected} to ${number - 1}`,
      )
    }
    if (number < expected) return damaged(`batch ${number} of writer ${writer} stands here a second time`)
    if (previous !== (last?.sum ?? "")) {
      return damaged(`batch ${number} of writer ${writer} follows another batch ${number - 1} than the one in this log`)
    }
    this.#last.delete(writer)
    this.#last.set(writer, { number, sum: batch.sum, loggedAt })
    return Result.succeed(undefined)
  }

  /**
   * Forgets chains whose last batch was logged before an instant (ms): their writers have new ids by then. The last few
   * are kept all the same, since clocks of writers may be days apart.
   */
  forgetBefore(instant: number): void {
    let others = this.#last.size - CHAINS_KEPT
    for (const [writer, { loggedAt }] of this.#last) {
      if (others-- <= 0) return
      if (loggedAt < instant) this.#last.delete(writer)
    }
  }

  get state(): ChainState {
    return Object.fromEntries(this.#last)
  }
}
