import { Effect, Stream } from "effect"
import { type Batch, decodeBatch } from "../../domain/log/batch.ts"
import { ChainVerifier } from "../../domain/log/ChainVerifier.ts"
import type {
  CorruptBatch,
  LogDamaged,
  LogUnavailable,
  PositionDiverged,
  UnknownBatchVersion,
} from "../../domain/log/errors.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"

export type ScanError =
  | LogUnavailable
  | LogDamaged
  | CorruptBatch
  | UnknownBatchVersion
  | PositionDiverged
  | ReadModelUnavailable

/**
 * Reads the stored events that the read model stands on: every batch up to its checkpoints, with the places of the
 * duplicates in it. What is asked of the log this way agrees with the tables.
 */
export const scanLog: (
  take: (partition: number, sequence: number, batch: Batch, duplicates: ReadonlySet<number>) => void,
) => Effect.Effect<void, ScanError, EventLog | ReadModel> = Effect.fnUntraced(function* (take) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  for (let partition = 0; partition < log.partitions; partition++) {
    const checkpoint = yield* readModel.checkpoint(LIVE_GROUP, partition)
    if (checkpoint === null) continue
    const duplicates = yield* readModel.duplicates(partition)
    const chain = new ChainVerifier(partition)
    yield* log.read(partition, 0).pipe(
      Stream.takeWhile((record) => record.position.sequence <= checkpoint.position.sequence),
      Stream.runForEach((record) =>
        Effect.gen(function* () {
          const { sequence } = record.position
          const batch = yield* Effect.fromResult(decodeBatch(record.bytes))
          yield* Effect.fromResult(chain.accept(sequence, batch))
          take(partition, sequence, batch, duplicates.get(sequence) ?? NONE)
        }),
      ),
    )
  }
})

const NONE: ReadonlySet<number> = new Set()
