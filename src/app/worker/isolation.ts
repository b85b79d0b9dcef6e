import { Data, Effect } from "effect"
import { formatPosition, type Position } from "../../domain/log/position.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { type Attempt, ISOLATED, Operations, type Trial } from "../../domain/projection/Operations.ts"
import type { PartitionProjection } from "../projection/PartitionProjection.ts"
import type { OpenedBatch } from "../readBatches.ts"
import { Attempts } from "./Attempts.ts"
import { Limits } from "./limits.ts"

/** From this attempt on, of which those before ended without a word, batches are handled one by one. */
const CAREFUL_FROM = 3

/** A suspicious batch is tried in so many parts at once: two deaths find one event among a thousand. */
const PARTS = 32

/** An event must be there at so many deaths; once may have been chance, such as a worker that was killed just then. */
const DEATHS_OF_ONE_EVENT = 2

/** After so many deaths over one batch without one event that is to blame, the partition stands still. */
const DEATHS_MAX = 12

/** A batch ends the process, and no single event of it does. */
export class BatchKills extends Data.TaggedError("BatchKills")<{
  readonly position: Position
  readonly deaths: number
}> {
  override get message(): string {
    return `The worker has ended ${this.deaths} times without a word over batch ${formatPosition(this.position)}, and no single event of it is to blame: it may need more memory than there is. Give the worker more, then "tidemark resume"`
  }
}

/**
 * Finds events that end the process, since then nobody is left to say so: an attempt is marked in the database before it
 * is made, so that the next one knows. What keeps ending is handled batch by batch; a batch that does is tried in ever
 * smaller parts, down to the event, which is quarantined.
 */
export const makeIsolation = Effect.fnUntraced(function* (
  group: string,
  partition: number,
  /** What leaves out an event that is to blame: see `Operations.isolate`. */
  metrics: ReadonlyArray<string>,
  isolated: Map<number, Set<number>>,
) {
  const operations = yield* Operations
  const attempts = yield* Attempts
  const log = yield* EventLog
  const { stepEvents } = yield* Limits
  let attempt: Attempt | null = null
  /** Events still to be handled batch by batch: the attempt before may have ended anywhere in its step. */
  let careful = 0
  /** The last batch to be handled so: the attempt before can't have come to what was not in the log yet. */
  let carefulTo = 0

  /** Whether the database knows of an attempt that has not ended. */
  let marked = false

  const tryNext = (trial: Trial) => {
    marked = true
    return operations.beginTrial(group, partition, trial)
  }

  const isolate = Effect.fnUntraced(function* (position: Position, place: number) {
    yield* Effect.logWarning(`Event ${place} of batch ${formatPosition(position)} is quarantined. ${ISOLATED}`)
    yield* operations.isolate(position, place, metrics)
    const places = isolated.get(position.sequence)
    if (places === undefined) isolated.set(position.sequence, new Set([place]))
    else places.add(place)
  })

  /** Looks into a batch during which the attempt before ended. */
  const inspect = Effect.fnUntraced(function* (
    opened: OpenedBatch,
    { sequence, first, last }: Trial,
    { count, deaths }: Attempt,
    rehearse: PartitionProjection["rehearse"],
  ) {
    if (deaths >= DEATHS_MAX) return yield* new BatchKills({ position: opened.position, deaths })
    if (last - first === 1 && count >= DEATHS_OF_ONE_EVENT) return yield* isolate(opened.position, first)
    if (last - first === 1) return yield* rehearse(opened, first, last)
    const size = Math.ceil((last - first) / PARTS)
    for (let from = first; from < last; from += size) {
      const part = { sequence, first: from, last: Math.min(last, from + size) }
      yield* tryNext(part)
      yield* rehearse(opened, part.first, part.last)
    }
  })

  return {
    /** To be called before a batch is taken; `true` when it is to be committed by itself. */
    before: Effect.fnUntraced(function* (opened: OpenedBatch, { rehearse }: Pick<PartitionProjection, "rehearse">) {
      if (attempt === null) {
        marked = true
        attempt = yield* attempts.begin(group, partition)
        if (attempt.count >= CAREFUL_FROM || attempt.trial !== null) {
          careful = stepEvents
          carefulTo = (yield* log.status).find((it) => it.partition === partition)?.last?.sequence ?? 0
        }
      }
      const { sequence } = opened.position
      if (careful <= 0 || sequence > carefulTo) return false
      careful -= opened.batch.count
      if (attempt.trial?.sequence === sequence) yield* inspect(opened, attempt.trial, attempt, rehearse)
      yield* tryNext({ sequence, first: 0, last: opened.batch.count })
      return true
    }),
    /** A step is committed. */
    committed: Effect.suspend(() => {
      if (!marked) return Effect.void
      return Effect.tap(attempts.end(group, partition), () =>
        Effect.sync(() => {
          marked = false
        }),
      )
    }),
    /** The attempt ends with a failure that can be told, or on purpose. */
    ended: Effect.suspend(() => (marked ? Effect.ignore(attempts.end(group, partition)) : Effect.void)),
  }
})

export type Isolation = Effect.Success<ReturnType<typeof makeIsolation>>
