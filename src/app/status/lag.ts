import { Clock, Effect, Result, Stream } from "effect"
import { EventLog, type PartitionStatus } from "../../domain/log/EventLog.ts"
import type { Checkpoint } from "../../domain/projection/ReadModel.ts"
import { openRecord } from "../readBatches.ts"

/** How far a group is behind in one partition. */
export interface Lag {
  readonly events: number
  /** Whether the events were counted; else they were estimated from the number of records. */
  readonly exact: boolean
  /** Age of the oldest event that is not in the read model; 0 when there is none. */
  readonly seconds: number
  /** Why what lies ahead can't be read; `null` while it can. */
  readonly problem: string | null
}

/** So many records are read to count what is in them; more are estimated. */
const COUNTED_MAX = 200

/** Bytes of records that are read at most for one count. */
const COUNTED_BYTES_MAX = 16 * 1024 * 1024

/** Records read to estimate what is in the others. */
const SAMPLED = 4

/**
 * Measures how far a group is behind: from its checkpoint to the last record of the partition. A group that never
 * committed is behind by all there is.
 */
export const lagOf = Effect.fn("lagOf")(function* (
  checkpoint: Checkpoint | null,
  held: PartitionStatus | undefined,
  recordsOfAll: number,
  quarantined: number,
) {
  const log = yield* EventLog
  const after = checkpoint?.position.sequence ?? 0
  if (held?.last == null || held.last.sequence <= after) return NONE
  const { partition, last, records, events } = held
  const taken = checkpoint === null ? 0 : checkpoint.counts.projected + checkpoint.counts.duplicates + quarantined
  const known = events === null ? null : events - taken

  // Partitions share the numbers of some logs: of those between, this one has its share, as far as can be told.
  const between = Math.min(records, Math.ceil(((last.sequence - after) * records) / Math.max(records, recordsOfAll)))
  const wanted = known !== null ? 1 : between > COUNTED_MAX ? SAMPLED : COUNTED_MAX + SAMPLED
  const read = { records: 0, events: 0, bytes: 0, oldest: null as number | null, last: after }
  const outcome = yield* log.read(partition, after).pipe(
    Stream.take(wanted),
    Stream.takeWhile(() => read.bytes < COUNTED_BYTES_MAX),
    Stream.runForEach((record) =>
      Effect.map(openRecord(record), ({ count, origin }) => {
        read.records++
        read.events += count
        read.bytes += record.bytes.length
        read.oldest = Math.min(read.oldest ?? origin.loggedAt, origin.loggedAt)
        read.last = record.position.sequence
      }),
    ),
    Effect.result,
  )
  const now = yield* Clock.currentTimeMillis
  const readAll = Result.isSuccess(outcome) && read.last >= last.sequence
  const perRecord = read.records === 0 ? 1 : read.events / read.records
  return {
    events: known ?? (readAll ? read.events : Math.round(Math.max(between, read.records) * perRecord)),
    exact: known !== null || readAll,
    seconds: read.oldest === null ? 0 : Math.max(0, (now - read.oldest) / 1000),
    problem: Result.isFailure(outcome) ? outcome.failure.message : null,
  } satisfies Lag
})

const NONE: Lag = { events: 0, exact: true, seconds: 0, problem: null }
