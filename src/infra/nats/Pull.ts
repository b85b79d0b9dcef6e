import type { JetStreamManager } from "@nats-io/jetstream"
import { AckPolicy, DeliverPolicy, ReplayPolicy } from "@nats-io/jetstream"
import { createInbox, type Msg, nanos } from "@nats-io/transport-node"
import { Data, Duration, Effect, Latch, type Scope } from "effect"
import { monotonicMillis } from "../monotonicMillis.ts"
import type { CallFailed } from "./jetStreamCall.ts"
import { BATCH_ID_HEADER } from "./LogStream.ts"
import type { Connection } from "./NatsConnection.ts"

/**
 * Bytes asked for at once: bounded by bytes and not by records, since a thousand large records stall JetStream. What came
 * is held as it is stored, compressed, until it is taken.
 */
const PULL_BYTES = 1024 * 1024

/** What a server counts of a record beside its payload: subjects and headers. */
const ENVELOPE_BYTES = 64 * 1024

/** Records asked for at once, so that many small ones don't pile up either. */
const PULL_RECORDS = 4096

/** How long the server may take beyond the end of a request to say that it ended. */
const GRACE_MILLIS = 2000

/**
 * The next request is sent when so much of the time of the one before is over. Older servers (before nats-server #3942, of
 * March 2023) let one end without a word when a record comes just then, which would wait until the silence was noticed.
 */
const RENEW_AFTER = 0.8

/** The server forgets a consumer that nobody has pulled from for so long. */
const FORGOTTEN_AFTER = Duration.minutes(5)

/** A delivery is broken: what comes next must be found out anew. */
export class DeliveryBroken extends Data.TaggedError("DeliveryBroken")<{
  readonly reason: "heartbeatMissed" | "lost" | "gap" | "ended"
}> {}

/** A record as it was delivered. */
export interface Delivered {
  readonly sequence: number
  readonly batchId: string
  /** As it is stored: compressed, or not. */
  readonly payload: Uint8Array
}

export interface PullOptions {
  readonly stream: string
  readonly subject: string
  readonly from: number
  /** How long the server waits for records before it says that there are none, ms. */
  readonly expiresMillis: number
}

/** A delivery of the records of one subject, in order. */
export interface Pull {
  /** The records that have come, at least one; none when the server says that there are none for now. */
  readonly take: Effect.Effect<ReadonlyArray<Delivered>, DeliveryBroken>
}

/** Asks the server for records; they come one by one. Times are of the monotonic clock. */
interface Request {
  readonly askedAt: number
  /** How many may still come. */
  left: number
  readonly unsubscribe: () => void
}

/**
 * Begins a delivery: a consumer of its own that keeps no acknowledgements and lives in the server's memory, and one
 * request after another, each bounded by bytes and sent when the one before is used up, or when its time is nearly over:
 * then there are two for a moment. So what is held here is bounded, and a slow reader slows the server down. The position
 * is the reader's own; the consumer is thrown away.
 */
export const openPull = (
  connection: Connection,
  manager: JetStreamManager,
  options: PullOptions,
): Effect.Effect<Pull, CallFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { nats } = connection
    const consumer = yield* Effect.acquireRelease(
      connection.call(async () => {
        const { name } = await manager.consumers.add(options.stream, {
          ack_policy: AckPolicy.None,
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: options.from,
          replay_policy: ReplayPolicy.Instant,
          filter_subject: options.subject,
          inactive_threshold: nanos(Duration.toMillis(FORGOTTEN_AFTER)),
          mem_storage: true,
          num_replicas: 1,
        })
        return name
      }),
      // It is forgotten by itself where this does not arrive.
      (name) => Effect.sync(() => nats.isClosed() || nats.publish(`$JS.API.CONSUMER.DELETE.${options.stream}.${name}`)),
    )
    // A record must fit into one request whole, or it would never come.
    const maxBytes = Math.max(PULL_BYTES, nats.info?.max_payload ?? 0) + ENVELOPE_BYTES
    const { expiresMillis } = options
    const forgottenMillis = expiresMillis + GRACE_MILLIS
    const wanted = JSON.stringify({ batch: PULL_RECORDS, max_bytes: maxBytes, expires: nanos(expiresMillis) })
    const news = Latch.makeUnsafe()
    /** Requests under way, the oldest first. */
    const open: Array<Request> = []
    let arrived: Array<Delivered> = []
    /** Whether the server has said that there was nothing for a request. */
    let nothing = false
    let broken: DeliveryBroken | null = null
    let lastDelivery = 0
    /** Whether the server was heard since it was last looked for. */
    let heard = false
    /** Since when it says nothing, although it was asked, ms. */
    let silentSince = 0

    const breakOff = (reason: DeliveryBroken["reason"]): void => {
      broken ??= new DeliveryBroken({ reason })
      news.openUnsafe()
    }

    const end = (request: Request): void => {
      const place = open.indexOf(request)
      if (place >= 0) open.splice(place, 1)
      if (!nats.isClosed()) request.unsubscribe()
    }

    const receive = (request: Request, message: Msg): void => {
      const place = message.reply === undefined ? null : placeOf(message.reply)
      heard = true
      if (place === null) {
        const ending = endingOf(message)
        if (ending === "broken") breakOff("ended")
        if (ending === "ended") {
          end(request)
          nothing = request.left === PULL_RECORDS
        }
      } else if (place.delivery !== lastDelivery + 1) {
        breakOff("gap")
      } else {
        lastDelivery = place.delivery
        nothing = false
        if (--request.left === 0) end(request)
        // A server that is behind the others begins at its own end, and gives what was read before once it has it.
        if (place.sequence < options.from) return
        const batchId = message.headers?.get(BATCH_ID_HEADER) ?? ""
        arrived.push({ sequence: place.sequence, batchId, payload: message.data })
      }
      news.openUnsafe()
    }

    const ask = (now: number): void => {
      const inbox = createInbox()
      const subscription = nats.subscribe(inbox, {
        callback: (error, message) => (error === null ? receive(request, message) : breakOff("ended")),
      })
      const request: Request = { askedAt: now, left: PULL_RECORDS, unsubscribe: () => subscription.unsubscribe() }
      if (open.length === 0) silentSince = now
      open.push(request)
      nothing = false
      nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${consumer}`, wanted, { reply: inbox })
    }

    /** When to send the next request, ms. */
    const renewAt = (): number => {
      const newest = open[open.length - 1]
      return newest === undefined ? 0 : newest.askedAt + RENEW_AFTER * expiresMillis
    }

    yield* Effect.acquireRelease(
      Effect.sync(() => connection.onLost(() => breakOff("lost"))),
      (forget) =>
        Effect.sync(() => {
          forget()
          while (open.length > 0) end(open[0]!)
        }),
    )

    const take = Effect.gen(function* () {
      for (;;) {
        // Before anything is looked at: what comes from now on opens it.
        news.closeUnsafe()
        if (arrived.length > 0) {
          const records = arrived
          arrived = []
          return records
        }
        if (broken !== null) return yield* broken
        if (nothing) {
          nothing = false
          return []
        }
        const now = yield* monotonicMillis
        if (heard) silentSince = now
        heard = false
        // The server has forgotten them, whether it said so or not.
        while (open.length > 0 && now >= open[0]!.askedAt + forgottenMillis) end(open[0]!)
        if (now >= renewAt()) ask(now)
        const silentUntil = silentSince + forgottenMillis
        if (now >= silentUntil) return yield* new DeliveryBroken({ reason: "heartbeatMissed" })
        yield* Effect.timeoutOption(news.await, Math.min(silentUntil, renewAt()) - now)
      }
    })
    return { take }
  })

/** Where a delivered message stands: `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>…`, or with two more in front. */
const placeOf = (reply: string): { readonly sequence: number; readonly delivery: number } | null => {
  if (!reply.startsWith("$JS.ACK.")) return null
  const tokens = reply.split(".")
  const from = tokens.length > 9 ? 7 : 5
  return { sequence: Number(tokens[from]), delivery: Number(tokens[from + 1]) }
}

/** What a message without a record says: that the request is over, or that the consumer is. */
const endingOf = ({ headers }: Msg): "ended" | "broken" | "nothing" => {
  switch (headers?.code) {
    case 404:
    case 408:
      return "ended"
    case 409:
      return /exceeds maxbytes|batch completed/i.test(headers.description) ? "ended" : "broken"
    case 503:
      return "broken"
    default:
      return "nothing"
  }
}
