import { Result } from "effect"
import type { Batch } from "./batch.ts"
import { LogDamaged } from "./errors.ts"

/** The last batch seen of each writer: its number and checksum. */
export type ChainState = Readonly<Record<string, { readonly number: number; readonly sum: string }>>

/**
 * Follows the chains of all writers in one partition, record by record: every writer numbers its batches and names the
 * checksum of the one before, so a record that is missing, doubled, out of place or from another history is seen.
 */
export class ChainVerifier {
  readonly #partition: number
  readonly #last: Map<string, { readonly number: number; readonly sum: string }>

  constructor(partition: number, state: ChainState = {}) {
    this.#partition = partition
    this.#last = new Map(Object.entries(state))
  }

  /** Takes the next record; a failure says what is missing, and leaves the state as it was. */
  accept(sequence: number, batch: Batch): Result.Result<void, LogDamaged> {
    const { writer, number, previous, partition } = batch.origin
    const last = this.#last.get(writer)
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
    this.#last.set(writer, { number, sum: batch.sum })
    return Result.succeed(undefined)
  }

  get state(): ChainState {
    return Object.fromEntries(this.#last)
  }
}
