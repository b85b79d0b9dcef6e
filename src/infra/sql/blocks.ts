/**
 * Identities whose keys differ in their last five bits only are a block, and are told of together: identities that are met
 * together first get keys that follow one another.
 */
const BLOCK_BITS = 5

/** The block of an identity. */
export const blockOf = (identity: number): number => identity >> BLOCK_BITS

/** The bit that stands for an identity among those of its block. */
export const bitOf = (identity: number): number => 1 << (identity & ((1 << BLOCK_BITS) - 1))

/** Some identities of each of some blocks, as bits, in the order of blocks. */
export type Identities = ReadonlyMap<number, number>

export const byBlock = (identities: Iterable<number>): Identities => {
  const blocks = new Map<number, number>()
  for (const identity of identities) {
    const block = blockOf(identity)
    blocks.set(block, (blocks.get(block) ?? 0) | bitOf(identity))
  }
  return new Map([...blocks].sort(([a], [b]) => a - b))
}

/** The identities of a block that bits stand for, in the order of their keys. */
export function* identitiesOf(block: number, bits: number): Iterable<number> {
  const first = block << BLOCK_BITS
  for (let rest = bits; rest !== 0; rest &= rest - 1) yield first + 31 - Math.clz32(rest & -rest)
}
