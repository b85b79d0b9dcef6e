import { Clock, Effect, Result } from "effect"
import type { Event } from "../domain/event/Event.ts"
import { Quarantine, type QuarantinedLine } from "../domain/log/Quarantine.ts"
import type { ColumnMap } from "./import/columnKey.ts"
import { importLine } from "./import/importFile.ts"
import type { LineContext } from "./import/lineContext.ts"
import { LogWriter } from "./LogWriter.ts"

/** Lines handled at once. */
const PAGE = 1000

/** What was wrong may have been how the file was read: a replay can say it better. */
export interface ReplayOptions {
  readonly map?: ColumnMap | undefined
  readonly eventName?: string | undefined
}

/**
 * Reads every quarantined line again. Those that can be events now go to the log and leave the quarantine, in this
 * order, so that a crash in between loses nothing: the event's id is the same when it is replayed once more.
 */
export const replayQuarantine = Effect.fn("replayQuarantine")(function* (options: ReplayOptions = {}) {
  const quarantine = yield* Quarantine
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  const replayed = { accepted: 0, rejected: 0 }
  for (let after = 0; ;) {
    const lines = yield* quarantine.list(after, PAGE)
    const last = lines[lines.length - 1]
    if (last === undefined) return replayed
    const events: Array<Event> = []
    const done: Array<number> = []
    for (const line of lines) {
      const event = readAgain(line, options, now)
      if (event === null) continue
      events.push(event)
      done.push(line.id)
    }
    yield* writer.append(events)
    yield* quarantine.remove(done)
    replayed.accepted += done.length
    replayed.rejected += lines.length - done.length
    after = last.id
  }
})

const readAgain = (line: QuarantinedLine, options: ReplayOptions, now: number): Event | null => {
  const context = JSON.parse(line.context) as LineContext
  const changed: LineContext = {
    ...context,
    map: { ...context.map, ...options.map },
    eventName: options.eventName ?? context.eventName,
  }
  const row = importLine(line.raw, changed, now)
  return Result.isSuccess(row) && row.success._tag === "Accepted" ? row.success.event : null
}

/** Forgets all quarantined lines, or those of the ids given; returns how many there were. */
export const dropQuarantine = Effect.fn("dropQuarantine")(function* (ids?: ReadonlyArray<number>) {
  const quarantine = yield* Quarantine
  let dropped = 0
  for (let after = 0; ;) {
    const lines = yield* quarantine.list(after, PAGE)
    const last = lines[lines.length - 1]
    if (last === undefined) return dropped
    const doomed = lines.map(({ id }) => id).filter((id) => ids === undefined || ids.includes(id))
    yield* quarantine.remove(doomed)
    dropped += doomed.length
    after = last.id
  }
})
