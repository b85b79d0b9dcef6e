/**
 * A place in the log that proves itself (docs/explanation/the-log.md): a bare sequence number can be handed out twice when a log is
 * restored from an older copy, so a position also names the incarnation of the log and the batch that stood there.
 */
export interface Position {
  /** Made once when the log was created; another log, or a log put back, has another. */
  readonly incarnation: string
  readonly partition: number
  /** Ascending within the partition, from 1; holes are normal. */
  readonly sequence: number
  /** Id of the batch at that sequence. */
  readonly batchId: string
}

/** A position as people read it: `0/17` (partition and sequence). */
export const formatPosition = (position: Position): string => `${position.partition}/${position.sequence}`
