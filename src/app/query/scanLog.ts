import { Effect, Stream } from "effect"
import type { Batch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { isLeftOut } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { type ReadError, readBatches } from "../readBatches.ts"

/** What of a partition is in the tables. */
export interface Extent {
  readonly partition: number
  /** Sequence of the last batch. */
  readonly upTo: number
  /** Places by sequence that are in no number: repeats, and events that were isolated. */
  readonly leftOut: ReadonlyMap<number, ReadonlySet<number>>
}

/**
 * Reads what of the log the tables hold for a metric, or for a measure that nobody declared (`null`): to be asked in one
 * snapshot with whatever else is asked of them.
 */
export const readExtents = Effect.fnUntraced(function* (metric: string | null) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const queries = yield* ReadModelQueries
  const isolated = (yield* queries.failures).filter(isLeftOut(metric))
  const extents: Array<Extent> = []
  for (let partition = 0; partition < log.partitions; partition++) {
    const checkpoint = yield* readModel.checkpoint(LIVE_GROUP, partition)
    if (checkpoint === null) continue
    const leftOut = new Map(yield* readModel.duplicates(partition, 0))
    for (const { sequence, place } of isolated.filter((it) => it.partition === partition)) {
      leftOut.set(sequence, new Set(leftOut.get(sequence)).add(place))
    }
    extents.push({ partition, upTo: checkpoint.position.sequence, leftOut })
  }
  return extents
})

/**
 * Reads the stored events that are in the tables, so that what is asked of the log agrees with these: partition by partition,
 * or several at once, whose batches then come between each other.
 */
export const scanLog: (
  extents: ReadonlyArray<Extent>,
  take: (partition: number, sequence: number, batch: Batch, leftOut: ReadonlySet<number>) => void,
  partitionsAtOnce?: number,
) => Effect.Effect<void, ReadError, EventLog> = (extents, take, partitionsAtOnce = 1) =>
  Effect.forEach(
    extents,
    ({ partition, upTo, leftOut }) =>
      readBatches(partition, { upTo }).pipe(
        Stream.runForEach(({ position: { sequence }, batch }) =>
          Effect.sync(() => take(partition, sequence, batch, leftOut.get(sequence) ?? NONE)),
        ),
      ),
    { concurrency: partitionsAtOnce, discard: true },
  )

const NONE: ReadonlySet<number> = new Set()
