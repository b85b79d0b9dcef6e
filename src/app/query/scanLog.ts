import { Effect, Stream } from "effect"
import type { Batch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { type ReadError, readBatches } from "../readBatches.ts"

export type ScanError = ReadError | ReadModelUnavailable

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
    yield* readBatches(partition, { upTo: checkpoint.position.sequence }).pipe(
      Stream.runForEach(({ position: { sequence }, batch }) =>
        Effect.sync(() => take(partition, sequence, batch, duplicates.get(sequence) ?? NONE)),
      ),
    )
  }
})

const NONE: ReadonlySet<number> = new Set()
