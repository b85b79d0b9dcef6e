import { randomUUID } from "node:crypto"
import { Clock, Context, Effect, Layer, Option, Semaphore, Stream } from "effect"
import type { Event } from "../domain/event/Event.ts"
import { attributedTo } from "../domain/identity/distinctId.ts"
import { batchIdOf, encodeBatch, type PackedBatch } from "../domain/log/batch.ts"
import { LogDamaged, type LogUnavailable, type UnknownBatchVersion } from "../domain/log/errors.ts"
import { EventLog } from "../domain/log/EventLog.ts"
import { partitionOf } from "../domain/log/partition.ts"
import type { Position } from "../domain/log/position.ts"
import { openRecord } from "./readBatches.ts"

/** Events packed into one batch; a record of this many is read and written about as fast as one can be. */
const BATCH_EVENTS = 1000

/** Largest batch in bytes: below the 1 MiB that JetStream takes by default, with room for headers. */
export const BATCH_BYTES_MAX = 900 * 1024

/**
 * One of many writers takes a new id after this long, so that readers can forget chains: they keep one for
 * `CHAIN_MEMORY_MILLIS` after its last batch.
 */
const WRITER_LIFE_MILLIS = 86_400_000

export type AppendError = LogUnavailable | LogDamaged | UnknownBatchVersion

/**
 * Packs events into batches and appends them, as the one writer of this process: numbers its batches per partition and
 * chains their checksums, so that readers can prove that none is missing.
 */
export class LogWriter extends Context.Service<
  LogWriter,
  {
    /**
     * Appends events; returns when they are durable, in their order within a partition. After a failure some of them may
     * be in the log: append all of them again, with the same ids, and each counts once.
     */
    readonly append: (events: ReadonlyArray<Event>) => Effect.Effect<ReadonlyArray<Position>, AppendError>
    /** Appends events to one given partition: control facts. */
    readonly appendTo: (
      partition: number,
      events: ReadonlyArray<Event>,
    ) => Effect.Effect<ReadonlyArray<Position>, AppendError>
  }
>()("tidemark/app/LogWriter") {
  /** A writer of its own; the layer is for what shares one. */
  static readonly make = Effect.gen(function* () {
    const log = yield* EventLog
    const turn = yield* Semaphore.make(1)
    // The log's one writer goes on where the process before it ended; one of many begins chains of its own.
    const many = log.writers === "many"
    let writer = many ? randomUUID() : log.incarnation
    let writerSince = 0
    /** The last batch of this writer per partition. Absent: to be read from the log. */
    const ends = new Map<number, ChainEnd>()

    const beginAnew = (now: number): void => {
      ends.clear()
      if (many) writer = randomUUID()
      writerSince = now
    }

    const endOf = Effect.fnUntraced(function* (partition: number) {
      const known = ends.get(partition)
      if (known !== undefined) return known
      if (many) return { number: 0, sum: "" }
      const status = yield* log.status
      const last = status.find((entry) => entry.partition === partition)?.last ?? null
      if (last === null) return { number: 0, sum: "" }
      const record = yield* log.at(partition, last.sequence)
      if (record === null) {
        return yield* new LogDamaged({ partition, sequence: last.sequence, problem: "its last batch is gone" })
      }
      const batch = yield* openRecord(record)
      if (batch.origin.writer === writer) return { number: batch.origin.number, sum: batch.sum }
      // The batches of other writers came with an archive, into the empty log: this log's own can only follow them.
      const first = batchIdOf({ writer, partition, number: 1 })
      const own = yield* log.read(partition, 0).pipe(
        Stream.filter(({ position }) => position.batchId === first),
        Stream.runHead,
      )
      if (Option.isNone(own)) return { number: 0, sum: "" }
      const problem = `its last batch is of writer ${batch.origin.writer}, but only ${writer} writes here, since ${own.value.position.sequence}`
      return yield* new LogDamaged({ partition, sequence: last.sequence, problem })
    })

    const appendGroups = Effect.fnUntraced(function* (groups: ReadonlyMap<number, ReadonlyArray<Event>>) {
      const loggedAt = yield* Clock.currentTimeMillis
      if (many && loggedAt - writerSince >= WRITER_LIFE_MILLIS) beginAnew(loggedAt)
      const batches: Array<PackedBatch> = []
      const next = new Map<number, ChainEnd>()
      for (const [partition, events] of groups) {
        let end = yield* endOf(partition)
        for (const batch of pack(writer, partition, end, loggedAt, events)) {
          batches.push(batch)
          end = { number: batch.origin.number, sum: batch.sum }
        }
        next.set(partition, end)
      }
      const positions = yield* log.append(batches).pipe(
        // Whether it arrived is not known: the one writer reads anew where its chain ends, one of many leaves its
        // chain as it is and begins another.
        Effect.onError(() => Effect.sync(() => beginAnew(loggedAt))),
      )
      for (const [partition, end] of next) ends.set(partition, end)
      return positions
    })

    const append = (groups: ReadonlyMap<number, ReadonlyArray<Event>>) =>
      groups.size === 0 ? Effect.succeed([]) : turn.withPermit(Effect.uninterruptible(appendGroups(groups)))

    return LogWriter.of({
      append: (events) => append(groupByPartition(events, log.partitions)),
      appendTo: (partition, events) => append(new Map([[partition, events]])),
    })
  })

  static readonly layer = Layer.effect(LogWriter, LogWriter.make)
}

interface ChainEnd {
  readonly number: number
  readonly sum: string
}

const groupByPartition = (
  events: ReadonlyArray<Event>,
  partitions: number,
): ReadonlyMap<number, ReadonlyArray<Event>> => {
  const groups = new Map<number, Array<Event>>()
  for (const event of events) {
    const partition = partitionOf(attributedTo(event) ?? event.id, partitions)
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [event])
    else group.push(event)
  }
  return groups
}

/** Packs the events of one partition into as few batches as their number and size allow. */
const pack = (
  writer: string,
  partition: number,
  end: ChainEnd,
  loggedAt: number,
  events: ReadonlyArray<Event>,
): ReadonlyArray<PackedBatch> => {
  const batches: Array<PackedBatch> = []
  let { number, sum } = end
  let from = 0
  let size = BATCH_EVENTS
  while (from < events.length) {
    const origin = { writer, number: number + 1, previous: sum, partition, loggedAt }
    const batch = encodeBatch(origin, events.slice(from, from + size))
    if (batch.bytes.length > BATCH_BYTES_MAX && batch.count > 1) {
      size = Math.ceil(batch.count / 2)
      continue
    }
    batches.push(batch)
    number = batch.origin.number
    sum = batch.sum
    from += batch.count
    size = BATCH_EVENTS
  }
  return batches
}
