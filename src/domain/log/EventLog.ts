import { Context, type Effect, type Stream } from "effect"
import type { PackedBatch } from "./batch.ts"
import { LogDamaged, type LogUnavailable } from "./errors.ts"
import type { Position } from "./position.ts"

/** One record as the log holds it. */
export interface LogRecord {
  readonly position: Position
  readonly bytes: Uint8Array
}

/**
 * Where to go on in a partition: after a sequence (0: at the front), or after a record that is known and has to stand there
 * still.
 */
export type Place = number | LogRecord

export const sequenceOf = (place: Place): number => (typeof place === "number" ? place : place.position.sequence)

/** What is wrong with the log when `found` stands where a record was read; `null` when it is that very record. */
export const damageAt = ({ position, bytes }: LogRecord, found: LogRecord | null): LogDamaged | null => {
  const { partition, sequence, batchId } = position
  if (found === null) return new LogDamaged({ partition, sequence, problem: "the record that was read here is gone" })
  const stands = found.position.batchId
  if (stands === batchId && Buffer.compare(found.bytes, bytes) === 0) return null
  const name = stands === "" ? "a batch without an id" : `batch ${stands}`
  const problem = `${name} stands where ${batchId} was read: the log was put back to an older copy`
  return new LogDamaged({ partition, sequence, problem })
}

/** What a log can say about one partition. */
export interface PartitionStatus {
  readonly partition: number
  readonly records: number
  /** Events in the records; `null` where the log can't say without reading them. */
  readonly events: number | null
  /** Bytes stored; `null` where the log can't tell its partitions apart. */
  readonly bytes: number | null
  readonly last: Position | null
}

/** The pseudo-partition of control facts: settings, metric definitions. Small, and read whole at every start. */
export const CONTROL_PARTITION = -1

/** Whether a partition holds events, not control facts. */
export const isEvents = (partition: number): boolean => partition !== CONTROL_PARTITION

/**
 * The ordered, durable record of all events.
 *
 * Owns: durability, order within a partition, and that a batch id is stored once. Does not own: what batches mean,
 * whether the chain of a writer is whole (`ChainVerifier`), dedupe of events.
 *
 * Guarantees: `append` returns after the batches are durable, in their order within a partition. When it fails, any
 * number of them may have been stored, always the first ones of each partition; appending a batch id again returns the
 * position it already has (a log of many writers may forget ids after two minutes: a writer that is not sure by then
 * begins a chain of its own, and readers pass over a batch that was stored twice all the same). Sequences ascend in the
 * order of appending; holes are allowed. `read` gives records after a place (exclusive), in order, up to the end as it was
 * when the read began. After a record that does not stand there any more, since the log was put back to an older copy, it
 * gives nothing: that is damage.
 */
export class EventLog extends Context.Service<
  EventLog,
  {
    /** Made once when the log was created: another log has another. */
    readonly incarnation: string
    readonly partitions: number
    /** Whether every writing process is a writer of its own, or all are the one writer of the log. */
    readonly writers: "many" | "one"
    /** Damage is what a log says that finds itself put back or replaced since it was opened. */
    readonly append: (
      batches: ReadonlyArray<PackedBatch>,
    ) => Effect.Effect<ReadonlyArray<Position>, LogUnavailable | LogDamaged>
    readonly read: (partition: number, after: Place) => Stream.Stream<LogRecord, LogUnavailable | LogDamaged>
    /** Like `read`, but never ends: at the end of the log it waits for more. */
    readonly follow: (partition: number, after: Place) => Stream.Stream<LogRecord, LogUnavailable | LogDamaged>
    /** The record at exactly this sequence, or `null` where there is a hole or the end. */
    readonly at: (partition: number, sequence: number) => Effect.Effect<LogRecord | null, LogUnavailable>
    readonly status: Effect.Effect<ReadonlyArray<PartitionStatus>, LogUnavailable>
    /**
     * Asks the store itself what it has lost: records missing from the middle that nobody is known to have removed.
     * Says from where to where and how many. Records removed at the front, by retention or a purge, are no damage.
     */
    readonly prove: Effect.Effect<void, LogDamaged | LogUnavailable>
    /**
     * The first sequence of a partition that may still be stored: those below were removed at the front, by retention or a
     * purge, so the numbers of a writer need not begin at 1. 1 while nothing ever was, and for control facts always: they
     * are kept for ever.
     */
    readonly begins: (partition: number) => Effect.Effect<number, LogDamaged | LogUnavailable>
    /** Takes the log as it is from now on, also when this process knows that it once went further. */
    readonly acceptEnd: Effect.Effect<void>
  }
>()("tidemark/domain/log/EventLog") {}
