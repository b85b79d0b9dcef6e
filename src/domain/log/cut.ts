import { hash } from "node:crypto"
import type { LogEnd } from "../projection/ReadModel.ts"
import { CONTROL_PARTITION } from "./EventLog.ts"

/**
 * A place up to which a log is read: the last batch of each partition that counts, and that of the control facts. What has
 * none is empty.
 */
export type Cut = ReadonlyArray<LogEnd>

/** A cut as somebody wrote it down. */
export interface WrittenCut {
  /** Last sequence by partition; 0 for nothing. */
  readonly sequences: ReadonlyMap<number, number>
  /** What `proofOf` the cut must be; `null` when it was left out. */
  readonly proof: string | null
}

/** How the partition of the control facts is written. */
const CONTROL = "c"

const PROOF_LENGTH = 8

/**
 * A cut in one text: `0:1234,1:40,c:3@1a2b3c4d`, the last sequence of each partition, `c` for the control facts, and a proof
 * of which batches stand there.
 */
export const formatCut = (cut: Cut): string => {
  const sequences = new Map(cut.map(({ position: { partition, sequence } }) => [partition, sequence]))
  const control = sequences.get(CONTROL_PARTITION) ?? 0
  sequences.delete(CONTROL_PARTITION)
  const events = Array.from(sequences).sort(([a], [b]) => a - b)
  return `${[...events, [CONTROL, control]].map((place) => place.join(":")).join(",")}@${proofOf(cut)}`
}

/** Reads a cut; `null` when the text is none. */
export const parseCut = (text: string): WrittenCut | null => {
  const match = /^((?:\d{1,3}|c):\d{1,15}(?:,(?:\d{1,3}|c):\d{1,15})*)(?:@([0-9a-f]{8}))?$/.exec(text)
  if (match === null) return null
  const places = match[1]!.split(",").map((place) => {
    const [partition, sequence] = place.split(":") as [string, string]
    return [partition === CONTROL ? CONTROL_PARTITION : Number(partition), Number(sequence)] as const
  })
  const sequences = new Map(places)
  return sequences.size < places.length ? null : { sequences, proof: match[2] ?? null }
}

/** Tells cuts apart that name the same sequences of different logs, or of one that was put back. */
export const proofOf = (cut: Cut): string => {
  const sums = cut.map(
    ({ position, sum }) => [position.partition, position.incarnation, position.sequence, sum] as const,
  )
  const sorted = sums.toSorted(([a], [b]) => a - b)
  return hash("sha256", JSON.stringify(sorted), "hex").slice(0, PROOF_LENGTH)
}
