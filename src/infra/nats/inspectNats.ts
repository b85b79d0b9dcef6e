import { jetstreamManager } from "@nats-io/jetstream"
import { Effect } from "effect"
import type { LogUnavailable } from "../../domain/log/errors.ts"
import { unavailable } from "./jetStreamCall.ts"
import { type ConnectError, type NatsOptions, openNats } from "./NatsConnection.ts"
import { streamNameOf } from "./streamConfig.ts"

/** What NATS says of itself and of the stream of a project, as far as a client may ask. */
export interface NatsReport {
  readonly server: string
  readonly version: string
  /** Servers of the cluster that the one asked knows of, itself included; 1 where there is no cluster. */
  readonly servers: number
  readonly stream: string
  readonly replicas: number
  /** Replicas that are not in step with the leader, or not there. */
  readonly behind: ReadonlyArray<string>
  readonly dedupeSeconds: number
  readonly discard: string
  /** Limits of the stream; `null` for none. */
  readonly maxBytes: number | null
  readonly maxAgeSeconds: number | null
  readonly records: number
  readonly bytes: number
  /** What the account may store in all and stores now; `null` for no limit. */
  readonly account: { readonly maxBytes: number | null; readonly bytes: number }
  /** The server's clock minus this machine's, ms; `null` where the server doesn't tell the time. */
  readonly skewMillis: number | null
  readonly roundTripMillis: number
}

/** How long one question waits for its answer. */
const ANSWER_MILLIS = 5000

/** Asks NATS about itself, over a connection of its own. */
export const inspectNats = Effect.fn("inspectNats")(function* (
  options: NatsOptions,
  project: string,
): Effect.fn.Return<NatsReport, ConnectError | LogUnavailable> {
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const { nats, call } = yield* openNats(options, ANSWER_MILLIS)
      const manager = yield* Effect.promise(() => jetstreamManager(nats, { checkAPI: false }))
      const ask = <A>(run: () => Promise<A>) => Effect.mapError(call(run), unavailable("ask NATS about the log"))
      const account = yield* ask(() => manager.getAccountInfo())
      const stream = streamNameOf(project)
      const asked = Date.now()
      const { config, state, cluster, ts } = yield* ask(() => manager.streams.info(stream))
      const answered = Date.now()
      // Limits are kept by number of replicas where an account has tiers.
      const { limits, storage } = account.tiers?.[`R${config.num_replicas}`] ?? account
      return {
        server: nats.getServer(),
        version: nats.info?.version ?? "unknown",
        servers: Math.max(1, new Set(nats.info?.connect_urls ?? []).size, (cluster?.replicas?.length ?? 0) + 1),
        stream,
        replicas: config.num_replicas,
        behind: (cluster?.replicas ?? []).filter((peer) => !peer.current || peer.offline).map(({ name }) => name),
        dedupeSeconds: config.duplicate_window / 1e9,
        discard: config.discard,
        maxBytes: limitOf(config.max_bytes),
        maxAgeSeconds: limitOf(config.max_age / 1e9),
        records: state.messages,
        bytes: state.bytes,
        account: { maxBytes: limitOf(limits.max_storage), bytes: storage },
        skewMillis: ts === undefined ? null : Date.parse(ts) - (asked + answered) / 2,
        roundTripMillis: answered - asked,
      }
    }),
  )
})

/** 0 and −1 stand for none. */
const limitOf = (limit: number): number | null => (limit > 0 ? limit : null)
