import { EMPTY_FACT, type Fact } from "../../domain/measure/Fact.ts"
import { type Identities, identitiesOf } from "./blocks.ts"
import { packFragments } from "./factFragment.ts"

/** Fragments of identities of one block from which on a step that reads them puts them together, if it is worth it. */
const FRAGMENTS_MAX = 8

/** Notes the fragments of one measure that a step reads, to find identities of which too many tell. */
export class Crowding {
  readonly #blocks = new Map<number, { count: number; bytes: number }>()

  note(block: number, bytes: number): void {
    const read = this.#blocks.get(block)
    if (read === undefined) {
      this.#blocks.set(block, { count: 1, bytes })
    } else {
      read.count++
      read.bytes += bytes
    }
  }

  /** Of the identities that were read, given what is known of them, those that need half of the fragments or of the bytes. */
  crowded(read: Identities, known: ReadonlyMap<number, Fact>): Identities {
    return new Map(
      Array.from(read).filter(([block, bits]) => {
        const { count, bytes } = this.#blocks.get(block) ?? { count: 0, bytes: 0 }
        if (count < FRAGMENTS_MAX) return false
        const together = packFragments(
          Array.from(identitiesOf(block, bits), (identity) => [identity, (known.get(identity) ?? EMPTY_FACT).values()]),
        )
        const bytesTogether = together.reduce((sum, fragment) => sum + fragment.bytes.length, 0)
        return count >= 2 * together.length || bytes >= 2 * bytesTogether
      }),
    )
  }
}
