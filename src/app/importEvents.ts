import { Clock, Effect, Stream } from "effect"
import type { Event } from "../domain/event/Event.ts"
import { Quarantine, type QuarantinedLine } from "../domain/log/Quarantine.ts"
import type { TimeZone } from "../domain/time/TimeZone.ts"
import type { ColumnMap } from "./import/columnKey.ts"
import type { FormatName } from "./import/format.ts"
import { importFile } from "./import/importFile.ts"
import { LogWriter } from "./LogWriter.ts"

export interface ImportEventsOptions {
  readonly format: FormatName
  readonly map: ColumnMap
  readonly eventName: string | null
  readonly zone: TimeZone
  /** Called now and then with the numbers so far. */
  readonly onProgress?: (imported: Imported) => void
}

/** What an import did. `read` = `accepted` + `rejected`; repeats are only told apart when the log is projected. */
export interface Imported {
  readonly read: number
  readonly accepted: number
  readonly rejected: number
}

/** Events appended at once: eight batches, one sync to the disk. */
const APPEND_EVENTS = 8000

/**
 * Appends the events of a file to the log, and its unreadable lines to the quarantine. What was read before a failure
 * is in the log; importing the file again adds only what is missing.
 */
export const importEvents = Effect.fn("importEvents")(function* (path: string, options: ImportEventsOptions) {
  const writer = yield* LogWriter
  const quarantine = yield* Quarantine
  const now = yield* Clock.currentTimeMillis
  let events: Array<Event> = []
  let rejected: Array<QuarantinedLine> = []
  const imported = { read: 0, accepted: 0, rejected: 0 }

  const append = Effect.gen(function* () {
    if (rejected.length > 0) yield* quarantine.add(rejected)
    if (events.length > 0) yield* writer.append(events)
    imported.accepted += events.length
    imported.rejected += rejected.length
    events = []
    rejected = []
    options.onProgress?.({ ...imported })
  })

  yield* importFile(path, { ...options, now }).pipe(
    Stream.runForEach((rows) =>
      Effect.gen(function* () {
        for (const row of rows) {
          imported.read++
          if (row._tag === "Accepted") events.push(row.event)
          else {
            const { reason, detail } = row.rejection
            const context = JSON.stringify(row.context)
            rejected.push({ source: path, line: row.line, reason, detail, raw: row.raw, context, quarantinedAt: now })
          }
        }
        if (events.length + rejected.length >= APPEND_EVENTS) yield* append
      }),
    ),
    // Also when the file turns out to be damaged: what came before counts.
    Effect.tapError(() => append),
  )
  yield* append
  return imported satisfies Imported
})
