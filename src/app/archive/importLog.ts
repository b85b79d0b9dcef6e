import { Effect, Option, Stream } from "effect"
import type { PackedBatch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { formatPosition, type Position } from "../../domain/log/position.ts"
import { Quarantine } from "../../domain/log/Quarantine.ts"
import { readBatches } from "../readBatches.ts"
import { ImportIncomplete, LogNotEmpty, PartitionsDiffer } from "./errors.ts"
import type { Archive } from "./openArchive.ts"
import { partitionsOf, proveArchive, readPartition, readQuarantine } from "./readArchive.ts"

export interface ImportLogOptions {
  /** Called now and then with the number of events so far. */
  readonly onProgress?: (events: number) => void
}

/** Sequences from the first to the last, both included. */
export interface Span {
  readonly first: number
  readonly last: number
}

/** Where the records of a partition stood, and where they stand now. */
export interface MappedPartition {
  readonly partition: number
  readonly records: number
  readonly events: number
  readonly from: Span
  readonly to: Span
}

/** What an import did. */
export interface ImportedLog {
  readonly records: number
  /** Without control facts. */
  readonly events: number
  readonly controlFacts: number
  /** Records that were there already, of an import that was cut off. */
  readonly alreadyThere: number
  readonly quarantined: number
  readonly partitions: ReadonlyArray<MappedPartition>
}

/** Bytes of records appended at once. */
const APPEND_BYTES = 4 * 1024 * 1024

/** Partitions that are filled at once: each waits for the log on its own, and holds what it appends. */
const PARTITIONS_AT_ONCE = 8

/** Lines added to the quarantine at once. */
const PAGE = 1000

/**
 * Makes an empty log what the archive's log was: the same batches in the same order in the same partitions, at positions of
 * its own. The archive is proven as a whole before anything is written. An import that was cut off goes on where it was:
 * what the log holds already must be the archive's beginning, record by record. Nobody else may write meanwhile.
 */
export const importLog = Effect.fn("importLog")(function* (archive: Archive, options: ImportLogOptions = {}) {
  const log = yield* EventLog
  const { manifest } = archive
  if (log.partitions !== manifest.partitions) {
    return yield* new PartitionsDiffer({ archive: manifest.partitions, log: log.partitions })
  }
  yield* proveArchive(archive)
  const lasts = new Map((yield* log.status).map(({ partition, last }) => [partition, last]))
  const found = yield* Effect.forEach(partitionsOf(archive), (partition) =>
    compare(archive, partition, lasts.get(partition) ?? null),
  )
  let events = 0
  const onEvents = (count: number) => options.onProgress?.((events += count))
  const mapped = yield* Effect.forEach(found, (begun) => fill(archive, begun, onEvents), {
    concurrency: PARTITIONS_AT_ONCE,
  })
  yield* addQuarantine(archive)
  yield* checkCounts(archive)
  return {
    ...manifest.totals,
    alreadyThere: found.reduce((sum, { records }) => sum + records, 0),
    partitions: mapped.filter(({ records }) => records > 0),
  } satisfies ImportedLog
})

/** What the log holds of a partition before anything is appended. */
interface Begun {
  readonly partition: number
  readonly records: number
  readonly to: Span
}

/** What the log holds of a partition: a batch that was stored twice is once in an archive. */
const batchesOf = (partition: number) => Stream.filter(readBatches(partition), ({ batch }) => batch.count > 0)

const compare = Effect.fnUntraced(function* (archive: Archive, partition: number, end: Position | null) {
  const begun = { partition, records: 0, to: { first: 0, last: 0 } }
  if (end === null) return begun
  yield* batchesOf(partition).pipe(
    Stream.zip(readPartition(archive, partition)),
    Stream.runForEach(
      Effect.fnUntraced(function* ([held, { sequence, batch }]) {
        if (Buffer.compare(held.bytes, batch.bytes) !== 0) {
          const found = `has another record at ${formatPosition(held.position)} than the archive at ${sequence}`
          return yield* new LogNotEmpty({ found })
        }
        if (begun.records++ === 0) begun.to.first = held.position.sequence
        begun.to.last = held.position.sequence
      }),
    ),
  )
  if (begun.to.last === end.sequence) return begun
  const more = batchesOf(partition).pipe(Stream.filter(({ position }) => position.sequence > begun.to.last))
  if (Option.isSome(yield* Stream.runHead(more))) {
    return yield* new LogNotEmpty({ found: `goes on after the archive's end, up to ${formatPosition(end)}` })
  }
  return begun
})

/** Appends what the log does not hold yet of a partition. */
const fill = Effect.fnUntraced(function* (archive: Archive, begun: Begun, onEvents: (count: number) => void) {
  const log = yield* EventLog
  const { partition } = begun
  const mapped = { partition, records: 0, events: 0, from: { first: 0, last: 0 }, to: { ...begun.to } }
  let waiting: Array<PackedBatch> = []
  let bytes = 0
  const append = Effect.gen(function* () {
    if (waiting.length === 0) return
    const positions = yield* log.append(waiting)
    if (mapped.to.first === 0) mapped.to.first = positions[0]!.sequence
    mapped.to.last = positions.at(-1)!.sequence
    onEvents(waiting.reduce((sum, { count }) => sum + count, 0))
    waiting = []
    bytes = 0
  })
  yield* readPartition(archive, partition).pipe(
    Stream.runForEach(({ sequence, batch }) => {
      if (mapped.records++ === 0) mapped.from.first = sequence
      mapped.from.last = sequence
      mapped.events += batch.count
      if (mapped.records <= begun.records) return Effect.void
      waiting.push(batch)
      bytes += batch.bytes.length
      return bytes < APPEND_BYTES ? Effect.void : append
    }),
  )
  yield* append
  return mapped satisfies MappedPartition
})

const addQuarantine = Effect.fnUntraced(function* (archive: Archive) {
  const quarantine = yield* Quarantine
  yield* readQuarantine(archive).pipe(
    Stream.grouped(PAGE),
    Stream.runForEach((lines) => quarantine.add(lines)),
  )
})

/** That nobody else wrote meanwhile, and nothing was taken for a repeat. */
const checkCounts = Effect.fnUntraced(function* (archive: Archive) {
  const log = yield* EventLog
  const held = new Map((yield* log.status).map(({ partition, records }) => [partition, records]))
  for (const partition of partitionsOf(archive)) {
    const expected = archive.manifest.files
      .filter((file) => file.partition === partition)
      .reduce((sum, { records }) => sum + records, 0)
    const stored = held.get(partition) ?? 0
    // Looked through only where there is another number: batches that were stored twice count once.
    const found = stored === expected ? stored : yield* Stream.runCount(batchesOf(partition))
    if (found !== expected) return yield* new ImportIncomplete({ partition, archive: expected, log: found })
  }
})
