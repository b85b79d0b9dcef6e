import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream"
import { type Duration, Effect } from "effect"
import type { LogUnavailable } from "../../domain/log/errors.ts"
import { NatsServerUnfit, NoSuchLog, type StreamUnfit } from "./errors.ts"
import { CallFailed, CODE, unavailable, whileAway } from "./jetStreamCall.ts"
import type { Connection } from "./NatsConnection.ts"
import {
  identityOf,
  type LogIdentity,
  newIdentity,
  newStreamConfig,
  type NewStream,
  RECORD_BYTES_MAX,
  type StreamKind,
  streamNameOf,
  streamProblem,
} from "./streamConfig.ts"

/** The two streams of a log. */
export interface OpenedStreams {
  readonly events: StreamInfo
  readonly control: StreamInfo
}

type OpenStreamError = NatsServerUnfit | StreamUnfit | NoSuchLog | LogUnavailable

/** Finds the streams of a project, or makes them. One in which no log can be kept is left as it is and refused. */
export const openStreams = Effect.fnUntraced(function* (
  connection: Connection,
  manager: JetStreamManager,
  project: string,
  options: NewStream,
  patience: Duration.Duration,
): Effect.fn.Return<OpenedStreams, OpenStreamError> {
  const { nats, call } = connection
  const server = nats.getServer()
  const largest = nats.info?.max_payload ?? RECORD_BYTES_MAX
  if (largest < RECORD_BYTES_MAX) {
    return yield* new NatsServerUnfit({
      server,
      problem: `its max_payload is ${largest} bytes, and batches are up to ${RECORD_BYTES_MAX}`,
      remedy: "Raise max_payload in its configuration",
    })
  }
  yield* call(() => manager.getAccountInfo()).pipe(
    // Nobody answers where there is no JetStream; where there is, it is a cluster without a leader, for a moment.
    Effect.mapError((failure) =>
      failure.kind === "nobody" && nats.info?.jetstream !== true
        ? new CallFailed({ kind: "disabled", reason: failure.reason, code: failure.code })
        : failure,
    ),
    whileAway(patience),
    Effect.mapError((failure) =>
      failure.kind === "disabled"
        ? new NatsServerUnfit({
            server,
            problem: "JetStream is not enabled there for this account",
            remedy:
              "Enable it in the server's configuration (\"jetstream { store_dir: … }\") and for the account; if it was, the server's log says why it is off",
          })
        : unavailable("open the log")(failure),
    ),
  )
  const open = Effect.fnUntraced(function* (kind: StreamKind, identity: LogIdentity, incarnation?: string) {
    const stream = streamNameOf(project, kind)
    const find = call(() => manager.streams.info(stream))
    const config = newStreamConfig(project, identity, options, nats.info?.version ?? "")
    const make = call(() => manager.streams.add(config))
    const info = yield* find.pipe(
      Effect.catchIf(
        ({ kind }) => kind === "noStream" && options.create !== false,
        () =>
          make.pipe(
            // Another process made it in the same moment; then that one is the log.
            Effect.catchIf(
              ({ code }) => code === CODE.streamNameInUse,
              () => find,
            ),
          ),
      ),
      whileAway(patience),
      Effect.mapError((failure) =>
        failure.kind === "noStream"
          ? new NoSuchLog({ server, project })
          : unavailable(`open the stream ${stream}`)(failure),
      ),
    )
    const problem = streamProblem(project, kind, info.config, incarnation)
    if (problem !== null) return yield* problem
    return info
  })
  // The events first: they say which log it is, whoever makes the other stream, and if this process is gone before it can.
  const events = yield* open("events", newIdentity(options))
  const { incarnation } = identityOf(events.config)!
  const control = yield* open("control", { incarnation, partitions: null }, incarnation)
  return { events, control }
})
