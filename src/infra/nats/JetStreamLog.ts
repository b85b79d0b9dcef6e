import { jetstreamManager, type StreamInfo, type StreamState } from "@nats-io/jetstream"
import { Duration, Effect, Layer, Option, type Scope, Stream } from "effect"
import { LogDamaged, LogUnavailable, missingRecords } from "../../domain/log/errors.ts"
import { CONTROL_PARTITION, EventLog, type PartitionStatus, type Place, sequenceOf } from "../../domain/log/EventLog.ts"
import { PARTITIONS_MAX } from "../../domain/log/partition.ts"
import { makeAppend } from "./append.ts"
import { BadNatsOptions, type NoSuchLog, type StreamUnfit } from "./errors.ts"
import { LogStream } from "./LogStream.ts"
import { type ConnectError, type NatsOptions, openNats } from "./NatsConnection.ts"
import { openStreams } from "./openStreams.ts"
import { openReader } from "./Reader.ts"
import { DUPLICATE_WINDOW, isProjectName, type NewStream, PARTITIONS_DEFAULT, PROJECT_DEFAULT } from "./streamConfig.ts"

/** Where the log is, and how it is made when it isn't there yet. */
export interface JetStreamLogOptions extends NatsOptions, NewStream {
  /** One server holds the logs of many projects, each in a stream of its own. Default `default`. */
  readonly project?: string
  /**
   * How long an append or a read is tried while the server is away, before it fails. Default 30 s; at most 60 s, since
   * the server remembers the ids of batches for two minutes.
   */
  readonly patience?: Duration.Input
}

export type OpenLogError = ConnectError | StreamUnfit | NoSuchLog | LogUnavailable

/** How long one attempt waits for its answer. */
const ANSWER_MILLIS = 5000

const PATIENCE_MAX = Duration.seconds(60)

/** The log in JetStream as a service. */
export const layerJetStreamLog = (options: JetStreamLogOptions): Layer.Layer<EventLog, OpenLogError> =>
  Layer.effect(EventLog, openJetStreamLog(options))

/**
 * Opens the log of a project in JetStream, and makes its stream when there is none. A stream that is there and in which
 * no log can be kept is left as it is and refused, with the setting that is wrong.
 */
export const openJetStreamLog = Effect.fn("openJetStreamLog")(function* (
  options: JetStreamLogOptions,
): Effect.fn.Return<EventLog["Service"], OpenLogError, Scope.Scope> {
  const { project = PROJECT_DEFAULT, partitions = PARTITIONS_DEFAULT } = options
  const patience = Duration.fromInputUnsafe(options.patience ?? "30 seconds")
  const bad = (option: string, problem: string) => new BadNatsOptions({ option, problem })
  if (!isProjectName(project)) {
    return yield* bad("project", "a project's name is 1 to 64 letters, digits, - and _, since it is a part of subjects")
  }
  if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
    return yield* bad("partitions", `a log has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`)
  }
  if (options.maxAge !== undefined && Duration.isLessThan(Duration.fromInputUnsafe(options.maxAge), DUPLICATE_WINDOW)) {
    return yield* bad("maxAge", "records must be kept for two minutes at least, to know batches that are sent again")
  }
  if (Duration.isGreaterThan(patience, PATIENCE_MAX)) return yield* bad("patience", "it can be 60 s at most")
  const answerMillis = Math.min(ANSWER_MILLIS, Duration.toMillis(patience))
  const connection = yield* openNats(options, answerMillis)
  const manager = yield* Effect.promise(() =>
    jetstreamManager(connection.nats, { checkAPI: false, timeout: answerMillis }),
  )
  const opened = yield* openStreams(connection, manager, project, options, patience)
  const streamOf = (opened: StreamInfo) => new LogStream({ connection, manager, project, opened, patience })
  return makeLog(streamOf(opened.events), streamOf(opened.control))
})

const makeLog = (events: LogStream, control: LogStream): EventLog["Service"] => {
  const streamOf = (partition: number) => (partition === CONTROL_PARTITION ? control : events)

  const records = (partition: number, after: Place, end: number | null) =>
    Stream.unwrap(
      Effect.map(openReader(streamOf(partition), { partition, after, end }), ({ next }) =>
        Stream.paginate(undefined, () =>
          Effect.map(next, (page) => [page, page.length === 0 ? Option.none() : Option.some(undefined)] as const),
        ),
      ),
    )

  const read = (partition: number, after: Place) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const stream = streamOf(partition)
        const { state } = yield* stream.inspect(partition)
        // Nothing of any partition comes after the end of the stream.
        const last = sequenceOf(after) < state.last_seq ? yield* stream.last(partition) : null
        if (last !== null && last.sequence > sequenceOf(after)) return records(partition, after, last.sequence)
        if (typeof after !== "number") yield* stream.prove(partition, after)
        return Stream.empty
      }),
    )

  const status = Effect.gen(function* () {
    const counts = new Map([...(yield* control.counts(null)), ...(yield* events.counts(null))])
    const rows = yield* Effect.forEach(
      counts,
      ([partition, records]) =>
        Effect.map(streamOf(partition).last(partition), (last): PartitionStatus => ({
          partition,
          records,
          events: null,
          bytes: null,
          last,
        })),
      { concurrency: STATUS_CONCURRENCY },
    )
    return rows.toSorted((a, b) => a.partition - b.partition)
  })

  const proveStream = Effect.fnUntraced(function* (stream: LogStream) {
    // Without the numbers of what is missing, since there may be very many; they are asked for when there are any.
    if (missingIn((yield* stream.inspect(null)).state) === 0) return
    const { state } = yield* stream.inspect(null, { deleted_details: true })
    const missing = missingIn(state)
    if (missing === 0) return
    const { first, last } = firstRun(state.deleted ?? []) ?? { first: state.first_seq, last: state.last_seq }
    const more = missing - (last - first + 1)
    const problem =
      more > 0 ? `${missingRecords(first, last)}, and ${more} more after them` : missingRecords(first, last)
    const partition = stream === control ? CONTROL_PARTITION : null
    return yield* new LogDamaged({ partition, sequence: first, problem })
  })

  return EventLog.of({
    incarnation: events.identity.incarnation,
    partitions: events.identity.partitions!,
    writers: "many",
    append: makeAppend(streamOf),
    read,
    follow: (partition, after) => records(partition, after, null),
    at: (partition, sequence) =>
      Effect.map(streamOf(partition).recordAt(sequence), (record) =>
        record?.position.partition === partition ? record : null,
      ),
    status: Effect.catchTag(status, "LogDamaged", ({ problem }) =>
      Effect.fail(new LogUnavailable({ attempted: "read the log", reason: problem, retryable: false })),
    ),
    prove: Effect.andThen(proveStream(control), proveStream(events)),
    begins: (partition) =>
      partition === CONTROL_PARTITION
        ? Effect.succeed(1)
        : Effect.map(events.inspect(null), ({ state }) =>
            state.messages === 0 ? state.last_seq + 1 : Math.max(1, state.first_seq),
          ),
    acceptEnd: Effect.sync(() => {
      control.forget()
      events.forget()
    }),
  })
}

/** Partitions whose last record is asked for at once. */
const STATUS_CONCURRENCY = 16

/**
 * Records missing between the first and the last one. Counted here, since the server's own count of deleted records
 * leaves out what it lost.
 */
const missingIn = ({ messages, first_seq: first, last_seq: last }: StreamState): number =>
  messages === 0 ? 0 : last - first + 1 - messages

/** The first run of numbers without a hole. */
const firstRun = (deleted: ReadonlyArray<number>): { readonly first: number; readonly last: number } | null => {
  const sorted = deleted.toSorted((a, b) => a - b)
  const first = sorted[0]
  if (first === undefined) return null
  let last = first
  for (const sequence of sorted) {
    if (sequence > last + 1) break
    last = sequence
  }
  return { first, last }
}
