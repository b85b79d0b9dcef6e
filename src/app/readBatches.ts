import { Effect, Option, Stream } from "effect"
import { type Batch, decodeBatch } from "../domain/log/batch.ts"
import { ChainVerifier } from "../domain/log/ChainVerifier.ts"
import { LogDamaged, type LogUnavailable, type UnknownBatchVersion } from "../domain/log/errors.ts"
import { EventLog, type LogRecord, type Place } from "../domain/log/EventLog.ts"
import type { Position } from "../domain/log/position.ts"

/** A record of the log, opened. A batch that was stored a second time brings no events then. */
export interface OpenedBatch {
  readonly position: Position
  readonly batch: Batch
}

/** The same with what it was opened from. */
export interface ProvenRecord extends OpenedBatch {
  readonly bytes: Uint8Array
}

export type ReadError = LogUnavailable | LogDamaged | UnknownBatchVersion

/** From where, and to where, a partition is read. */
export interface ReadOptions {
  /** The beginning if not given. */
  readonly after?: Place
  /** Last sequence, included; the end of the log if not given. */
  readonly upTo?: number
  /** The chains as they stood at `after`. */
  readonly chain?: ChainVerifier
}

/** Opens one record. Damage is reported with its place, since that is what an operator has to look at. */
export const openRecord = ({ position, bytes }: LogRecord): Effect.Effect<Batch, LogDamaged | UnknownBatchVersion> =>
  Effect.fromResult(decodeBatch(bytes)).pipe(
    Effect.catchTag("CorruptBatch", ({ problem }) =>
      Effect.fail(new LogDamaged({ partition: position.partition, sequence: position.sequence, problem })),
    ),
  )

/**
 * The batches of a partition in order, each opened and proven: its checksum, and its place in its writer's chain. Stops
 * at the first that is damaged or missing, and says where.
 */
export const readBatches = (
  partition: number,
  { after = 0, upTo, chain }: ReadOptions = {},
): Stream.Stream<ProvenRecord, ReadError, EventLog> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const log = yield* EventLog
      const verifier = chain ?? (yield* newChain(partition))
      // Cut off before it is opened: what is not read must not get into the chains either.
      const records = log
        .read(partition, after)
        .pipe(Stream.takeWhile(({ position }) => upTo === undefined || position.sequence <= upTo))
      return openBatches(log, records, verifier)
    }),
  )

/** The verifier for a partition that is read from its front. */
export const newChain = Effect.fnUntraced(function* (partition: number) {
  const log = yield* EventLog
  return new ChainVerifier(partition, {}, (yield* log.begins(partition)) > 1)
})

/** What is the last batch of its writer once more brings nothing. */
export const withoutRepeat = (chain: ChainVerifier, position: Position, batch: Batch): Batch =>
  chain.isRepeat(position, batch) ? batch.withoutEvents() : batch

/**
 * Proves a batch's place in its writer's chain; one without events is proven. What stands in the log before, the very same,
 * brings nothing.
 */
export const proveChain = (
  log: EventLog["Service"],
  chain: ChainVerifier,
  record: LogRecord,
  batch: Batch,
): Effect.Effect<Batch, LogDamaged | LogUnavailable> => {
  const { position } = record
  if (batch.count === 0) return Effect.succeed(batch)
  return Effect.fromResult(chain.accept(position.sequence, batch)).pipe(
    Effect.as(batch),
    Effect.catchIf(
      () => chain.mayBeLate(position, batch),
      (damage) =>
        Effect.flatMap(standsBefore(log, record), (stands) => {
          if (!stands) return Effect.fail(damage)
          chain.acceptLate(batch)
          return Effect.succeed(batch.withoutEvents())
        }),
    ),
  )
}

/** Looks through all that comes before a record: rarely, so that nobody has to remember it. */
const standsBefore = (log: EventLog["Service"], { position, bytes }: LogRecord) =>
  log.read(position.partition, 0).pipe(
    Stream.takeWhile((it) => it.position.sequence < position.sequence),
    Stream.filter((it) => it.position.batchId === position.batchId && Buffer.compare(it.bytes, bytes) === 0),
    Stream.runHead,
    Effect.map(Option.isSome),
  )

/** Opens and proves records, one after another. */
const openBatches = <E, R>(
  log: EventLog["Service"],
  records: Stream.Stream<LogRecord, E, R>,
  chain: ChainVerifier,
): Stream.Stream<ProvenRecord, E | LogDamaged | LogUnavailable | UnknownBatchVersion, R> =>
  Stream.mapEffect(records, (record) =>
    Effect.gen(function* () {
      const { position, bytes } = record
      const opened = withoutRepeat(chain, position, yield* openRecord(record))
      return { position, batch: yield* proveChain(log, chain, record, opened), bytes }
    }),
  )
