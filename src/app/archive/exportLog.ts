import { Clock, Effect, Stream, Struct } from "effect"
import { LogDamaged } from "../../domain/log/errors.ts"
import { CONTROL_PARTITION, EventLog, type PartitionStatus } from "../../domain/log/EventLog.ts"
import { Quarantine } from "../../domain/log/Quarantine.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { type ProvenRecord, readBatches } from "../readBatches.ts"
import { finishDirectory, prepareDirectory } from "./directory.ts"
import { LogFrontRemoved } from "./errors.ts"
import { eventLine } from "./eventLine.ts"
import { openFileSeries } from "./FileSeries.ts"
import { encodeFrame } from "./frames.ts"
import { ARCHIVE_VERSION, type ArchiveFormat, type LogFile, type Manifest } from "./manifest.ts"

export interface ExportOptions {
  readonly format: ArchiveFormat
  /** Bytes that a file holds at most, before compression. Default 64 MiB. */
  readonly fileBytes?: number
  /** Called now and then with the number of events so far. */
  readonly onProgress?: (events: number) => void
}

const FILE_BYTES_DEFAULT = 64 * 1024 * 1024

/** Lines of the quarantine read at once. */
const PAGE = 1000

/**
 * Writes the log to a directory of files, up to its end as it is when the export begins; writers may go on. Every record
 * is proven as it is read, and damage stops the export. Without its manifest, which is written last, a directory is no
 * archive; an export that was cut off begins anew.
 */
export const exportLog = Effect.fn("exportLog")(function* (directory: string, options: ExportOptions) {
  const { format, fileBytes = FILE_BYTES_DEFAULT, onProgress } = options
  const log = yield* EventLog
  const exportedAt = formatInstant(yield* Clock.currentTimeMillis)
  yield* log.prove
  yield* refuseTrimmed(format)
  yield* prepareDirectory(directory)
  // Before the end of the log is looked at: a line that is replayed meanwhile is in both, and counts once, not in neither.
  const quarantine = yield* exportQuarantine(directory, fileBytes)
  const status = (yield* log.status).filter(({ last }) => last !== null)
  const files: Array<LogFile> = []
  let before = 0
  for (const partition of status) {
    const written = yield* exportPartition(directory, partition, { format, fileBytes }, (events) =>
      onProgress?.(before + events),
    )
    files.push(...written)
    before = sum(files, ({ events }) => events)
  }
  // Retention may have come by meanwhile.
  yield* refuseTrimmed(format)
  const manifest: Manifest = {
    version: ARCHIVE_VERSION,
    format,
    incarnation: log.incarnation,
    partitions: log.partitions,
    exportedAt,
    files,
    quarantine,
    totals: {
      records: sum(files, ({ records }) => records),
      events: sum(files, ({ partition, events }) => (partition === CONTROL_PARTITION ? 0 : events)),
      controlFacts: sum(files, ({ partition, events }) => (partition === CONTROL_PARTITION ? events : 0)),
      quarantined: sum(quarantine, ({ lines }) => lines),
      bytes: sum([...files, ...quarantine], ({ bytes }) => bytes),
    },
  }
  yield* finishDirectory(directory, manifest)
  return manifest
}, Effect.scoped)

/** Control facts are kept for ever, so the events decide. */
const refuseTrimmed = Effect.fnUntraced(function* (format: ArchiveFormat) {
  if (format !== "batches") return
  const log = yield* EventLog
  const begins = yield* log.begins(0)
  if (begins > 1) return yield* new LogFrontRemoved({ begins })
})

const exportQuarantine = Effect.fnUntraced(function* (directory: string, fileBytes: number) {
  const quarantine = yield* Quarantine
  const series = yield* openFileSeries({
    directory,
    prefix: "quarantine",
    suffix: "ndjson.zst",
    fileBytes,
    emptyTally: () => ({ lines: 0 }),
  })
  for (let after = 0; ;) {
    const page = yield* quarantine.list(after, PAGE)
    const last = page[page.length - 1]
    if (last === undefined) return yield* series.finish
    // Ids are given anew where the lines come to.
    const lines = page.map((line) => `${JSON.stringify(Struct.omit(line, ["id"]))}\n`)
    yield* series.write(Buffer.from(lines.join("")), (tally) => (tally.lines += lines.length))
    after = last.id
  }
})

const exportPartition = Effect.fnUntraced(function* (
  directory: string,
  { partition, last }: PartitionStatus,
  { format, fileBytes }: Required<Pick<ExportOptions, "format" | "fileBytes">>,
  onProgress: (events: number) => void,
) {
  const end = last!.sequence
  const series = yield* openFileSeries({
    directory,
    prefix: partition === CONTROL_PARTITION ? "control" : `partition-${partition}`,
    suffix: format === "batches" ? "batches.zst" : "ndjson.gz",
    fileBytes,
    emptyTally: () => ({ partition, first: 0, last: 0, records: 0, events: 0 }),
  })
  const contentOf = format === "batches" ? asItIs : asLines
  let reached = 0
  let events = 0
  yield* readBatches(partition, { upTo: end }).pipe(
    Stream.runForEach((opened) => {
      const { sequence } = opened.position
      reached = sequence
      // It stands in the log a second time, and is in the archive already.
      if (opened.batch.count === 0) return Effect.void
      events += opened.batch.count
      onProgress(events)
      return series.write(contentOf(opened), (tally) => {
        if (tally.records === 0) tally.first = sequence
        tally.last = sequence
        tally.records++
        tally.events += opened.batch.count
      })
    }),
  )
  // A chain can't show that its end is gone.
  if (reached !== end) {
    const problem = `the log went up to ${end} when the export began, and ends here now`
    return yield* new LogDamaged({ partition, sequence: reached, problem })
  }
  return yield* series.finish
})

const asItIs = ({ position: { sequence }, bytes }: ProvenRecord): Buffer => encodeFrame({ sequence, bytes })

const asLines = ({ position: { partition, sequence }, batch }: ProvenRecord): Buffer => {
  const { loggedAt } = batch.origin
  const lines = batch.events().map((event, place) => eventLine(event, { partition, sequence, place, loggedAt }))
  return Buffer.from(lines.join(""))
}

const sum = <A>(all: ReadonlyArray<A>, of: (one: A) => number): number => all.reduce((total, one) => total + of(one), 0)
