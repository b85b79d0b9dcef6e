import { Duration, Effect, Exit, Scope } from "effect"
import { LogDamaged, LogUnavailable } from "../../domain/log/errors.ts"
import { type LogRecord, type Place, sequenceOf } from "../../domain/log/EventLog.ts"
import { decompress } from "../compressed.ts"
import { monotonicMillis } from "../monotonicMillis.ts"
import { PAUSES, unavailable, whileAway } from "./jetStreamCall.ts"
import { count } from "./logMetrics.ts"
import type { LogStream } from "./LogStream.ts"
import { type Delivered, type DeliveryBroken, openPull, type Pull } from "./Pull.ts"

/**
 * Deliveries in a row that bring nothing, until a reader believes that the server can't give what it has; not before its
 * patience is over, since a server of a cluster may be behind the others for a while.
 */
const FRUITLESS_MAX = 3

/**
 * Bytes of records that are decompressed at once. A pull of 1 MiB unpacks to 5 MiB of ordinary batches, and to gigabytes
 * where a stranger wants it to; a worker has 512 MiB and follows 16 partitions. So what was delivered waits as it came,
 * and a reader holds that 1 MiB, 2 MiB while two requests overlap, and this many with one record more: at most 48 MiB in
 * 16 readers, and 64 MiB for moments.
 */
const PAGE_BYTES = 1024 * 1024

/** Deliveries in a row that break without a word, while other calls are answered. */
const BROKEN_MAX = 5

export interface ReaderOptions {
  readonly partition: number
  readonly after: Place
  /** Last sequence to read; null to wait for what comes, and for a server that is away. */
  readonly end: number | null
}

/** Records that are on their way. */
interface Delivery {
  readonly pull: Pull
  readonly scope: Scope.Closeable
  /** Whether the place was proven after something came. */
  isProven: boolean
}

/** Records in order; empty at the end, which only a reader with an `end` comes to. */
export interface Reader {
  readonly next: Effect.Effect<ReadonlyArray<LogRecord>, LogDamaged | LogUnavailable>
}

/**
 * Reads a partition, whatever happens to the connection meanwhile. Every delivery begins after the last record that was
 * read, and only once the log has proven that this record still stands there: so nothing is skipped, nothing comes
 * twice, and a store that was put back is noticed.
 */
export const openReader = (
  stream: LogStream,
  { partition, after, end }: ReaderOptions,
): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const readerScope = yield* Effect.scope
    let place = after
    /** Delivered and not yet handed over. */
    let waiting: ReadonlyArray<Delivered> = []
    let delivery: Delivery | null = null
    let fruitless = 0
    /** Since when, ms of the monotonic clock. */
    let fruitlessSince = 0
    let broken = 0
    /** How many records the partition had when nothing was found to come after this place; null when not asked yet. */
    let settledAt: number | null = null

    const endDelivery = Effect.suspend(() => {
      if (delivery === null) return Effect.void
      const { scope } = delivery
      delivery = null
      return Scope.close(scope, Exit.void)
    })

    const prove = Effect.suspend(() => stream.prove(partition, place))

    const beginDelivery = Effect.gen(function* () {
      yield* prove
      const scope = yield* Scope.fork(readerScope)
      const pull = yield* openPull(stream.connection, stream.manager, {
        stream: stream.name,
        subject: stream.subjectOf(partition),
        from: sequenceOf(place) + 1,
        expiresMillis: end === null ? 5000 : 1000,
      }).pipe(
        Scope.provide(scope),
        whileAway(stream.patience),
        Effect.mapError(unavailable("read the log")),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      )
      return (delivery = { pull, scope, isProven: false })
    })

    /**
     * Proves the place again when a consumer has brought its first records, before they are given: an outage in which the
     * log is put back may lie between the first proof and the consumer; and the servers of a cluster make a consumer anew
     * when the one that has it comes back, whatever it came back with. Had it brought records before, those that follow
     * would be a gap.
     */
    const proveFirst = (delivery: Delivery) =>
      delivery.isProven
        ? Effect.void
        : prove.pipe(
            Effect.andThen(
              Effect.sync(() => {
                delivery.isProven = true
              }),
            ),
            // What was taken and not given must come again.
            Effect.onError(() => endDelivery),
          )

    /** A delivery brings nothing: because there is nothing, or because the server can't give what it has. */
    const settle = Effect.gen(function* () {
      const records = (yield* stream.counts(partition)).get(partition) ?? 0
      // The last record itself is fetched once, and not by every pull of a partition where nothing happens.
      if (records === settledAt) return "nothing" as const
      const stored = (yield* stream.last(partition))?.sequence ?? 0
      if (stored <= sequenceOf(place)) {
        settledAt = records
        return "nothing" as const
      }
      const now = yield* monotonicMillis
      if (fruitless++ === 0) fruitlessSince = now
      if (fruitless >= FRUITLESS_MAX && now - fruitlessSince >= Duration.toMillis(stream.patience)) {
        const problem = `the server has records of this partition up to ${stored} and can't give the next one`
        return yield* new LogDamaged({ partition, sequence: sequenceOf(place), problem })
      }
      yield* endDelivery
      yield* count("readerResets")
      return "more" as const
    })

    const reset = ({ reason }: DeliveryBroken) =>
      Effect.gen(function* () {
        yield* endDelivery
        yield* count("readerResets")
        if (reason === "heartbeatMissed") yield* count("heartbeatsMissed")
        broken++
        if (broken < BROKEN_MAX) return
        broken = 0
        const problem = `the server answers and delivers nothing; this user must be allowed to publish to $JS.API.CONSUMER.MSG.NEXT.${stream.name}.> and to subscribe to _INBOX.>`
        return yield* new LogUnavailable({ attempted: "read the log", reason: problem, retryable: true })
      })

    /** Decompresses the next records of those that wait, and hands them over. */
    const handOver = (): ReadonlyArray<LogRecord> => {
      const { incarnation } = stream.identity
      const page: Array<LogRecord> = []
      let size = 0
      for (const { sequence, batchId, payload } of waiting) {
        if (size >= PAGE_BYTES || (end !== null && sequence > end)) break
        const bytes = decompress(payload)
        page.push({ position: { incarnation, partition, sequence, batchId }, bytes })
        size += bytes.length
      }
      waiting = waiting.slice(page.length)
      place = page[page.length - 1] ?? place
      return page
    }

    const nextOnce = Effect.gen(function* () {
      for (;;) {
        const page = handOver()
        if (page.length > 0 || (end !== null && (waiting.length > 0 || sequenceOf(place) >= end))) return page
        const from = delivery ?? (yield* beginDelivery)
        const taken = yield* Effect.result(from.pull.take)
        if (taken._tag === "Failure") {
          yield* reset(taken.failure)
        } else if (taken.success.length === 0) {
          broken = 0
          if ((yield* settle) === "nothing" && end !== null) return []
        } else {
          yield* proveFirst(from)
          fruitless = 0
          broken = 0
          settledAt = null
          waiting = taken.success
          stream.saw(waiting[waiting.length - 1]!.sequence)
        }
      }
    })
    const next =
      end !== null
        ? nextOnce
        : Effect.retry(nextOnce, {
            while: (error) => error._tag === "LogUnavailable" && error.retryable,
            schedule: PAUSES,
          })
    return { next }
  })
