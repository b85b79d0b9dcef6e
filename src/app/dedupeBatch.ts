import { Effect } from "effect"
import type { Batch } from "../domain/log/batch.ts"
import { LogDamaged } from "../domain/log/errors.ts"
import type { EventLog } from "../domain/log/EventLog.ts"
import { openRecord, type ReadError } from "./readBatches.ts"
import type { DedupeEntry, DedupeIndex } from "../domain/projection/DedupeIndex.ts"

/** Reads a batch of one partition by sequence; `null` when the log no longer has it, since its front was removed. */
export type BatchReader = (sequence: number) => Effect.Effect<Batch | null, ReadError>

/** Batches kept open: when a file is imported twice, the first copies are asked for in order. */
const OPEN_BATCHES_MAX = 8

/** Reads batches by sequence, the last few from memory. */
export const makeBatchReader = (log: EventLog["Service"], partition: number): BatchReader => {
  const open = new Map<number, Batch>()
  return Effect.fnUntraced(function* (sequence: number) {
    const known = open.get(sequence)
    if (known !== undefined) return known
    const record = yield* log.at(partition, sequence)
    if (record === null) {
      if (sequence < (yield* log.begins(partition))) return null
      return yield* new LogDamaged({ partition, sequence, problem: "the batch that stood here is gone" })
    }
    const batch = yield* openRecord(record)
    if (open.size >= OPEN_BATCHES_MAX) open.delete(open.keys().next().value!)
    open.set(sequence, batch)
    return batch
  })
}

/** Which events of a batch are repeats, and how many of those say something else than the copy that counts. */
export interface Duplicates {
  readonly places: ReadonlySet<number>
  readonly conflicts: number
  /** What is kept of the batch. */
  readonly entry: DedupeEntry
}

/**
 * Adds a batch to the index, and finds its events whose id has been counted within the horizon, in the batch itself or before it.
 * The index only suggests; the ids are compared in the log. Where retention has removed the first copy, 56 equal bits must do.
 * When this fails, the index knows a part of the batch and must not be used any more.
 */
export const dedupeBatch = Effect.fnUntraced(function* (
  index: DedupeIndex,
  readBatch: BatchReader,
  sequence: number,
  batch: Batch,
  logTime: number,
) {
  const places = new Set<number>()
  let conflicts = 0
  const entry = index.begin(sequence, logTime, batch.ids)
  for (let place = 0; place < batch.count; place++) {
    const candidates = index.candidatesOf(place)
    // Nearly always, and then cheaper than to go through none.
    if (candidates.length === 0) {
      index.keep(place)
      continue
    }
    for (const candidate of candidates) {
      const first = candidate.sequence === sequence ? batch : yield* readBatch(candidate.sequence)
      if (first !== null && first.ids[candidate.place] !== batch.ids[place]) continue
      places.add(place)
      if (first !== null && !saysTheSame(first, candidate.place, batch, place)) conflicts++
      break
    }
    if (places.has(place)) index.leaveOut(place)
    else index.keep(place)
  }
  return { places, conflicts, entry } satisfies Duplicates
})

/** Whether two events agree in everything but when they were sent and received. */
const saysTheSame = (a: Batch, i: number, b: Batch, j: number): boolean =>
  a.names[a.nameIndex(i)] === b.names[b.nameIndex(j)] &&
  a.kind(i) === b.kind(j) &&
  a.users[a.userIndex(i)] === b.users[b.userIndex(j)] &&
  a.anonymous[a.anonymousIndex(i)] === b.anonymous[b.anonymousIndex(j)] &&
  a.sessions[a.sessionIndex(i)] === b.sessions[b.sessionIndex(j)] &&
  a.times[i] === b.times[j] &&
  a.bodyText(i) === b.bodyText(j)
