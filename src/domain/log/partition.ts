/** FNV-1a over UTF-16 units, 32 bits: stable for ever, since it decides where an id's events live. */
const fnv1a = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i)
    hash = Math.imul(hash, 0x01000193)
  }
  return hash >>> 0
}

/** Most partitions a log can have; bounded because event keys hold the partition in 8 bits. */
export const PARTITIONS_MAX = 256

/**
 * The partition that holds the events of a distinct id (or, for a personless event, of its event id), in
 * 0…`partitions`−1.
 */
export const partitionOf = (key: string, partitions: number): number => (partitions === 1 ? 0 : fnv1a(key) % partitions)
