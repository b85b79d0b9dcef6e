import { Clock, Effect, Stream } from "effect"
import { parseCut, proofOf, type WrittenCut } from "../../domain/log/cut.ts"
import { CONTROL_PARTITION, EventLog } from "../../domain/log/EventLog.ts"
import type { LogEnd } from "../../domain/projection/ReadModel.ts"
import { formatInstant, parseInstant } from "../../domain/time/instant.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { readControl } from "../control.ts"
import { BadQuery } from "../query/errors.ts"
import { openRecord, readBatches } from "../readBatches.ts"

/** A day and a time of it; without a time nobody knows which end of the day is meant. */
const INSTANT = /^\d{4}-\d{2}-\d{2}[T ]\d/

const DAY = /^\d{4}-\d{2}-\d{2}$/

/**
 * Where a log is cut for an answer as of an instant of log time, or as of the cut that another answer names. An instant
 * without a zone is one of the project's time zone.
 */
export const resolveAsOf = Effect.fn("resolveAsOf")(function* (asOf: string) {
  yield* requireFront
  const written = parseCut(asOf)
  if (written !== null) return yield* cutAsWritten(asOf, written)
  const { settings } = yield* readControl
  const instant = INSTANT.test(asOf) ? parseInstant(asOf, TimeZone.of(settings.timeZone)) : undefined
  if (instant !== undefined) return yield* cutAtInstant(instant)
  return yield* new BadQuery(
    DAY.test(asOf)
      ? {
          problem: `"${asOf}" is a day, and an answer is as of an instant.`,
          remedy: `Give ${asOf}T00:00 for its beginning, or ${asOf}T24:00 for its end.`,
        }
      : {
          problem: `"${asOf}" is neither an instant nor a position.`,
          remedy: `Give --as-of as 2026-11-01T00:00, with or without a zone, or as the "cut" of an answer, such as 0:1234,c:3@1a2b3c4d.`,
        },
  )
})

/** A replay counts only what the log still holds, so without its front it would give other numbers than were given then. */
const requireFront = Effect.gen(function* () {
  const log = yield* EventLog
  const begins = yield* log.begins(0)
  if (begins === 1) return
  return yield* new BadQuery({
    problem: `The log begins at ${begins} now: retention or a purge removed what came before.`,
    remedy: "What was answered then can't be replayed; ask without --as-of.",
  })
})

/** All that was logged at an instant: up to the first batch of each partition that was logged later. */
const cutAtInstant = Effect.fnUntraced(function* (instant: number) {
  const log = yield* EventLog
  if (instant > (yield* Clock.currentTimeMillis)) {
    return yield* new BadQuery({
      problem: `${formatInstant(instant)} has not come yet.`,
      remedy: "Leave --as-of out for the newest numbers.",
    })
  }
  const cut: Array<LogEnd> = []
  for (let partition = CONTROL_PARTITION; partition < log.partitions; partition++) {
    const end = yield* endAt(partition, instant)
    if (end !== null) cut.push(end)
  }
  if (cut.every(({ position }) => position.partition === CONTROL_PARTITION)) {
    return yield* new BadQuery({
      problem: `No event was in the log at ${formatInstant(instant)}.`,
      remedy: `Log time is when events reached the log, not when they happened; an import of old events is in the log since it was made.`,
    })
  }
  return cut
})

/** The last batch of a partition before the first that was logged after an instant: log time never goes back. */
const endAt = (partition: number, instant: number) =>
  readBatches(partition).pipe(
    Stream.takeWhile(({ batch }) => batch.origin.loggedAt <= instant),
    Stream.runFold(
      (): LogEnd | null => null,
      (_, { position, batch }) => ({ position, sum: batch.sum }),
    ),
  )

/** The cut that a text names, if this log has it. Without a word on control facts: those logged until then. */
const cutAsWritten = Effect.fnUntraced(function* (asOf: string, { sequences, proof }: WrittenCut) {
  const log = yield* EventLog
  const cut: Array<LogEnd> = []
  let logTime = 0
  for (const [partition, sequence] of sequences) {
    if (partition >= log.partitions) {
      return yield* new BadQuery({
        problem: `"${asOf}" names partition ${partition}, and this log has ${log.partitions}, numbered from 0.`,
        remedy: FROM_AN_ANSWER,
      })
    }
    if (sequence === 0) continue
    const record = yield* log.at(partition, sequence)
    if (record === null) return yield* notThere(asOf, partition, sequence)
    const { sum, origin } = yield* openRecord(record)
    cut.push({ position: record.position, sum })
    logTime = Math.max(logTime, origin.loggedAt)
  }
  if (!sequences.has(CONTROL_PARTITION)) {
    const control = yield* endAt(CONTROL_PARTITION, logTime)
    if (control !== null) cut.push(control)
  }
  if (proof !== null && proof !== proofOf(cut)) {
    return yield* new BadQuery({
      problem: `"${asOf}" is of another log, or of this one before it was put back: other batches stand at these places.`,
      remedy: FROM_AN_ANSWER,
    })
  }
  return cut
})

const FROM_AN_ANSWER = `Give the "cut" of an answer of this log.`

const notThere = Effect.fnUntraced(function* (asOf: string, partition: number, sequence: number) {
  const log = yield* EventLog
  const of = partition === CONTROL_PARTITION ? "the control facts" : `partition ${partition}`
  const last = (yield* log.status).find((it) => it.partition === partition)?.last?.sequence ?? 0
  return yield* new BadQuery({
    problem:
      sequence > last
        ? `"${asOf}" lies beyond the end of the log: ${of} ${last === 0 ? "has nothing" : `ends at ${last}`}.`
        : `"${asOf}" names no batch: ${of} has none at ${sequence}.`,
    remedy: FROM_AN_ANSWER,
  })
})
