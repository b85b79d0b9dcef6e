import { Effect, Stream } from "effect"
import type { Batch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { EVERY_MEASURE } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { type ReadError, readBatches } from "../readBatches.ts"

export type ScanError = ReadError | ReadModelUnavailable

/**
 * Reads the stored events that the read model stands on: every batch up to its checkpoints, with the places of the
 * duplicates in it, and of events that are isolated: those must not even be looked at, since they have ended workers. What
 * is asked of the log this way agrees with the tables.
 */
export const scanLog: (
  take: (
    partition: number,
    sequence: number,
    batch: Batch,
    duplicates: ReadonlySet<number>,
    isolated: ReadonlySet<number>,
  ) => void,
) => Effect.Effect<void, ScanError, EventLog | ReadModel | ReadModelQueries> = Effect.fnUntraced(function* (take) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const isolated = (yield* ReadModelQueries.use(({ failures }) => failures)).filter((it) => it.metric === EVERY_MEASURE)
  for (let partition = 0; partition < log.partitions; partition++) {
    const checkpoint = yield* readModel.checkpoint(LIVE_GROUP, partition)
    if (checkpoint === null) continue
    const duplicates = yield* readModel.duplicates(partition)
    const ofPartition = Map.groupBy(
      isolated.filter((it) => it.partition === partition),
      ({ sequence }) => sequence,
    )
    yield* readBatches(partition, { upTo: checkpoint.position.sequence }).pipe(
      Stream.runForEach(({ position: { sequence }, batch }) =>
        Effect.sync(() => {
          const out = new Set(ofPartition.get(sequence)?.map(({ place }) => place))
          take(partition, sequence, batch, duplicates.get(sequence) ?? NONE, out)
        }),
      ),
    )
  }
})

const NONE: ReadonlySet<number> = new Set()
