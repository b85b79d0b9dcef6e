import { Result } from "effect"
import type { Batch } from "./batch.ts"
import { LogDamaged } from "./errors.ts"
import type { Position } from "./position.ts"

/** The last batch seen of each writer; those seen last come last. */
export type ChainState = Readonly<Record<string, ChainEnd>>

interface ChainEnd {
  readonly number: number
  readonly sum: string
  /** When it was packed by its writer's clock, ms. */
  readonly loggedAt: number
  /** What time it was, by the clocks of most, when it was no more among those seen last, ms. */
  readonly leftAt?: number
  /** An earlier batch of the writer that came once more after this one. */
  readonly late?: { readonly number: number; readonly sum: string }
}

/** How long a chain is remembered that is no more among those seen last, ms; its writer has a new id long before. */
export const CHAIN_MEMORY_MILLIS = 7 * 86_400_000

/**
 * The chains seen last say what time it is, and are remembered however old they are. Half of them may be of writers whose
 * clocks are wrong.
 */
const CHAINS_KEPT = 64

/**
 * Follows the chains of all writers in one partition, record by record: every writer numbers its batches and names the
 * checksum of the one before, so a record that is missing, doubled, out of place or from another history is seen. Chains
 * that ended long ago are forgotten, which depends on the log alone and not on where its readers begin anew.
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
    this.#forget()
    return Result.succeed(undefined)
  }

  /**
   * Whether a record is the last batch of its writer once more, byte for byte. A log knows for a while only which batches it
   * has, so one whose answer was lost can be stored twice.
   */
  isRepeat({ batchId }: Position, { id, sum, origin }: Batch): boolean {
    // A record under another batch's id is not what its writer sent.
    return batchId === id && origin.partition === this.#partition && this.#last.get(origin.writer)?.sum === sum
  }

  /**
   * Whether a record can be an earlier batch of its writer once more, which the network kept back; what there was at that
   * place of the chain is not known here.
   */
  mayBeLate({ batchId }: Position, { id, origin }: Batch): boolean {
    if (batchId !== id || origin.partition !== this.#partition) return false
    const last = this.#last.get(origin.writer)
    return last === undefined ? origin.number > 1 : origin.number < last.number
  }

  /** Takes an earlier batch of its writer that comes once more, and that is known to stand in the log before. */
  acceptLate({ sum, origin: { writer, number, loggedAt } }: Batch): void {
    const last = this.#last.get(writer)
    // Of a writer that was forgotten it is the last that is known.
    this.#last.set(writer, last === undefined ? { number, sum, loggedAt } : { ...last, late: { number, sum } })
  }

  #forget(): void {
    let others = this.#last.size - CHAINS_KEPT
    if (others <= 0) return
    const now = this.#timeOfMost()
    for (const [writer, end] of this.#last) {
      if (others-- <= 0) return
      if (end.leftAt === undefined) this.#last.set(writer, { ...end, leftAt: now })
      else if (end.leftAt < now - CHAIN_MEMORY_MILLIS) this.#last.delete(writer)
    }
  }

  /**
   * The median of what the clocks of the writers seen last said. Not the latest: it would be one wrong clock's, for as long
   * as its time has not come.
   */
  #timeOfMost(): number {
    const last = [...this.#last.values()].slice(-CHAINS_KEPT).map(({ loggedAt }) => loggedAt)
    return last.sort((a, b) => a - b)[last.length >> 1]!
  }

  get state(): ChainState {
    return Object.fromEntries(this.#last)
  }
}
