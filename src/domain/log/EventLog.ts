import { Context, type Effect, type Stream } from "effect"
import type { PackedBatch } from "./batch.ts"
import type { LogUnavailable } from "./errors.ts"
import type { Position } from "./position.ts"

/** One record as the log holds it. */
export interface LogRecord {
  readonly position: Position
  readonly bytes: Uint8Array
}

/** What a log can say about one partition. */
export interface PartitionStatus {
  readonly partition: number
  readonly records: number
  readonly events: number
  readonly bytes: number
  readonly last: Position | null
}

/** The pseudo-partition of control facts: settings, metric definitions. Small, and read whole at every start. */
export const CONTROL_PARTITION = -1

/**
 * The ordered, durable record of all events.
 *
 * Owns: durability, order within a partition, and that a batch id is stored once. Does not own: what batches mean,
 * whether the chain of a writer is whole (`ChainVerifier`), dedupe of events.
 *
 * Guarantees: `append` returns after the batches are durable, all or none of one call; appending a batch id again
 * returns the position it already has. Sequences ascend in the order of appending; holes are allowed. `read` gives
 * records after a position (exclusive), in order, up to the end as it was when the read began.
 */
export class EventLog extends Context.Service<
  EventLog,
  {
    readonly incarnation: string
    readonly partitions: number
    readonly append: (batches: ReadonlyArray<PackedBatch>) => Effect.Effect<ReadonlyArray<Position>, LogUnavailable>
    readonly read: (partition: number, after: number) => Stream.Stream<LogRecord, LogUnavailable>
    /** The record at exactly this sequence, or `null` where there is a hole or the end. */
    readonly at: (partition: number, sequence: number) => Effect.Effect<LogRecord | null, LogUnavailable>
    readonly status: Effect.Effect<ReadonlyArray<PartitionStatus>, LogUnavailable>
  }
>()("tidemark/domain/log/EventLog") {}
