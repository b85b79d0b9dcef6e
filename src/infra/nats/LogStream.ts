import type {
  JetStreamClient,
  JetStreamManager,
  MsgRequest,
  StoredMsg,
  StreamInfo,
  StreamInfoRequestOptions,
} from "@nats-io/jetstream"
import { type Duration, Effect, Schedule } from "effect"
import { LogDamaged, type LogUnavailable } from "../../domain/log/errors.ts"
import { damageAt, type LogRecord, type Place, sequenceOf } from "../../domain/log/EventLog.ts"
import type { Position } from "../../domain/log/position.ts"
import { decompress } from "../compressed.ts"
import { unavailable, whileAway } from "./jetStreamCall.ts"
import type { Connection } from "./NatsConnection.ts"
import { identityOf, type LogIdentity, partitionOfSubject, subjectOf } from "./streamConfig.ts"

/** Header of a message that holds its batch's id; the server stores an id once. */
export const BATCH_ID_HEADER = "Nats-Msg-Id"

/** How often what looks like a loss is asked again, and after what pause. */
const CONFIRMATIONS = { times: 3, pause: "250 millis" } as const

/** Asks again for what looks like a loss. */
const confirmed = <A>(
  look: Effect.Effect<A, LogDamaged | LogUnavailable>,
): Effect.Effect<A, LogDamaged | LogUnavailable> =>
  Effect.retry(look, {
    while: (error) => error._tag === "LogDamaged",
    times: CONFIRMATIONS.times,
    schedule: Schedule.spaced(CONFIRMATIONS.pause),
  })

/** How a project's stream is reached. */
export interface LogStreamOptions {
  readonly connection: Connection
  readonly manager: JetStreamManager
  readonly project: string
  readonly opened: StreamInfo
  /** How long to try while the server is away. */
  readonly patience: Duration.Duration
}

/**
 * The stream of a log, and what this process knows of it: which incarnation it is, and how far it once went. A stream
 * that is another one now, or ends earlier than it did, is found out at the next look.
 */
export class LogStream {
  readonly connection: Connection
  readonly manager: JetStreamManager
  readonly client: JetStreamClient
  readonly name: string
  readonly identity: LogIdentity
  readonly patience: Duration.Duration
  readonly #project: string
  /** The highest sequence that was read, acknowledged or reported: a stream that ends before it has gone back. */
  #seen: number
  /** Losses of the connection, and how many of them there had been when the stream was last found to be the same. */
  #losses = 0
  #lossesProven = 0

  constructor({ connection, manager, project, opened, patience }: LogStreamOptions) {
    this.connection = connection
    this.manager = manager
    this.client = manager.jetstream()
    this.name = opened.config.name
    this.identity = identityOf(opened.config)!
    this.patience = patience
    this.#project = project
    this.#seen = opened.state.last_seq
    connection.onLost(() => {
      this.#losses++
    })
  }

  subjectOf(partition: number): string {
    return subjectOf(this.#project, partition)
  }

  get seen(): number {
    return this.#seen
  }

  saw(sequence: number): void {
    this.#seen = Math.max(this.#seen, sequence)
  }

  /** Forgets how far the stream went; the next look finds out how far it goes. */
  forget(): void {
    this.#seen = 0
  }

  /** Whether the connection was lost since the last look: the server may have been stopped, put back, and started. */
  get isUnsure(): boolean {
    return this.#lossesProven < this.#losses
  }

  /**
   * Looks at the stream: that it is there, the same as ever, and ends no earlier than it did. What looks like a loss is
   * asked again, since a new leader of a cluster may know less for a moment. `partition` is for the error's place.
   */
  inspect(
    partition: number | null,
    details: Partial<StreamInfoRequestOptions> = {},
  ): Effect.Effect<StreamInfo, LogDamaged | LogUnavailable> {
    return confirmed(this.#inspectOnce(partition, details))
  }

  #inspectOnce(partition: number | null, details: Partial<StreamInfoRequestOptions>) {
    return Effect.gen({ self: this }, function* () {
      const damaged = (sequence: number, problem: string) => new LogDamaged({ partition, sequence, problem })
      // What is acknowledged while the question is under way need not be in the answer.
      const floor = this.#seen
      const losses = this.#losses
      const info = yield* this.connection
        .call(() => this.manager.streams.info(this.name, details))
        .pipe(
          whileAway(this.patience),
          Effect.mapError((failure) =>
            failure.kind === "noStream"
              ? damaged(floor, `the stream ${this.name} is gone: it was deleted`)
              : unavailable("read the log")(failure),
          ),
        )
      const { incarnation } = this.identity
      const found = identityOf(info.config)?.incarnation ?? "no log of Tidemark"
      const last = info.state.last_seq
      if (found !== incarnation) {
        const problem = `the stream ${this.name} is another log now (${found}, not ${incarnation}): it was deleted and made anew`
        return yield* damaged(last, problem)
      }
      if (last < floor) {
        const problem = `the stream ${this.name} ends here, and records up to ${floor} were read or written before: it was put back to an older copy, or lost its end`
        return yield* damaged(last, problem)
      }
      this.saw(last)
      this.#lossesProven = losses
      return info
    })
  }

  #message(query: MsgRequest): Effect.Effect<StoredMsg | null, LogUnavailable> {
    return this.connection
      .call(() => this.manager.streams.getMessage(this.name, query))
      .pipe(whileAway(this.patience), Effect.mapError(unavailable("read the log")))
  }

  #position({ subject, seq: sequence, header }: StoredMsg): Position {
    const partition = partitionOfSubject(this.#project, subject)
    return { incarnation: this.identity.incarnation, partition, sequence, batchId: header.get(BATCH_ID_HEADER) }
  }

  /** The record at a sequence, of whatever partition. */
  recordAt(sequence: number): Effect.Effect<LogRecord | null, LogUnavailable> {
    if (sequence < 1) return Effect.succeed(null)
    return Effect.map(this.#message({ seq: sequence }), (message) =>
      message === null ? null : { position: this.#position(message), bytes: decompress(message.data) },
    )
  }

  /** That a place up to which a partition was read is in the log, and the record there the same where it is known. */
  prove(partition: number, place: Place): Effect.Effect<void, LogDamaged | LogUnavailable> {
    return confirmed(this.#proveOnce(partition, place))
  }

  #proveOnce(partition: number, place: Place) {
    return Effect.gen({ self: this }, function* () {
      const sequence = sequenceOf(place)
      const { state } = yield* this.#inspectOnce(partition, {})
      if (state.last_seq < sequence) {
        const problem = `the log ends at ${state.last_seq} now, before this place: it was put back to an older copy`
        return yield* new LogDamaged({ partition, sequence, problem })
      }
      if (typeof place === "number") return
      const found = yield* this.recordAt(sequence)
      // What was removed at the front can't be compared, and need not be. Asked last, since it may be removed meanwhile.
      if (found === null && sequence < (yield* this.#inspectOnce(partition, {})).state.first_seq) return
      const damage = damageAt(place, found)
      if (damage !== null) return yield* damage
    })
  }

  /** Looks at the stream, and how many records the server counts, by partition; those that have none are left out. */
  counts(partition: number | null) {
    const subject = partition === null ? `tidemark.${this.#project}.*` : this.subjectOf(partition)
    return Effect.map(
      this.inspect(partition, { subjects_filter: subject }),
      ({ state }): ReadonlyMap<number, number> =>
        new Map(
          Object.entries(state.subjects ?? {}).map(([subject, records]) => [
            partitionOfSubject(this.#project, subject),
            records,
          ]),
        ),
    )
  }

  /** The position of a partition's last record; null where it has none. */
  last(partition: number): Effect.Effect<Position | null, LogDamaged | LogUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const subject = this.subjectOf(partition)
      const last = yield* this.#message({ last_by_subj: subject })
      if (last !== null) return this.#position(last)
      const records = (yield* this.counts(partition)).get(partition) ?? 0
      if (records === 0) return null
      // One may have come in between; if not, the server counts what it can't give.
      const again = yield* this.#message({ last_by_subj: subject })
      if (again !== null) return this.#position(again)
      const problem = `the server counts ${records} records of this partition and can't give the last one`
      return yield* new LogDamaged({ partition, sequence: this.#seen, problem })
    })
  }
}
