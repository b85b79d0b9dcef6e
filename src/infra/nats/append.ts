import type { PubAck } from "@nats-io/jetstream"
import { Effect, Semaphore } from "effect"
import type { PackedBatch } from "../../domain/log/batch.ts"
import { LogDamaged, LogUnavailable } from "../../domain/log/errors.ts"
import type { Position } from "../../domain/log/position.ts"
import { compress } from "../compressed.ts"
import { CallFailed, unavailable, whileAway } from "./jetStreamCall.ts"
import { count } from "./logMetrics.ts"
import type { LogStream } from "./LogStream.ts"

/** Batches sent and not yet acknowledged, over all partitions. */
const IN_FLIGHT_MAX = 32

/**
 * Appends batches, several partitions at once. Within a partition the next batch is sent when the one before is stored:
 * were several under way and one of them refused, those after it would stand in the log without it, a hole in the
 * writer's chain that no one could tell from a loss.
 */
export const makeAppend = (streamOf: (partition: number) => LogStream) => {
  const window = Semaphore.makeUnsafe(IN_FLIGHT_MAX)

  const publish = (stream: LogStream, batch: PackedBatch, payload: Uint8Array): Effect.Effect<PubAck, CallFailed> =>
    stream.connection.call(() =>
      stream.client.publish(stream.subjectOf(batch.origin.partition), payload, {
        msgID: batch.id,
        timeout: stream.connection.answerMillis,
        expect: { streamName: stream.name },
      }),
    )

  /** Nobody answers on the subjects of a stream that is gone. */
  const explain = (stream: LogStream, failure: CallFailed): Effect.Effect<never, CallFailed> =>
    stream.connection
      .call(() => stream.manager.streams.info(stream.name))
      .pipe(
        Effect.catchIf(
          ({ kind }) => kind !== "noStream",
          () => Effect.fail(failure),
        ),
        Effect.mapError(({ kind, code }) =>
          kind === "noStream"
            ? new CallFailed({ kind, code, reason: `the stream ${stream.name} is gone: it was deleted` })
            : failure,
        ),
        Effect.andThen(Effect.fail(failure)),
      )

  const appendOne = Effect.fnUntraced(function* (batch: PackedBatch) {
    const stream = streamOf(batch.origin.partition)
    const floor = stream.seen
    const payload = compress(batch.bytes)
    let tries = 0
    const ack = yield* Effect.suspend(() =>
      Effect.andThen(tries++ === 0 ? Effect.void : count("publishRetries"), publish(stream, batch, payload)),
    ).pipe(
      // With the same id: a batch that arrived and whose answer was lost is stored once.
      whileAway(stream.patience),
      Effect.catchIf(
        ({ kind }) => kind === "nobody",
        (failure) => explain(stream, failure),
      ),
      Effect.mapError(unavailable("append to the log")),
    )
    if (ack.duplicate) yield* count("duplicates")
    else if (ack.seq <= floor) {
      const problem = `a new record got this number, and records up to ${floor} were read or written before: the stream ${stream.name} was put back to an older copy or made anew`
      return yield* new LogDamaged({ partition: batch.origin.partition, sequence: ack.seq, problem })
    }
    stream.saw(ack.seq)
    const { incarnation } = stream.identity
    const position: Position = {
      incarnation,
      partition: batch.origin.partition,
      sequence: ack.seq,
      batchId: batch.id,
    }
    return position
  })

  return Effect.fnUntraced(function* (
    batches: ReadonlyArray<PackedBatch>,
  ): Effect.fn.Return<ReadonlyArray<Position>, LogUnavailable | LogDamaged> {
    // What was acknowledged before must still be there, or new batches would take the numbers of old ones.
    for (const stream of new Set(batches.map(({ origin }) => streamOf(origin.partition)))) {
      if (!stream.isUnsure) continue
      yield* Effect.catchTag(
        stream.inspect(null),
        "LogUnavailable",
        ({ reason, retryable }) => new LogUnavailable({ attempted: "append to the log", reason, retryable }),
      )
    }
    const positions: Array<Position> = []
    yield* Effect.forEach(
      Map.groupBy(batches.entries(), ([, { origin }]) => origin.partition).values(),
      (entries) =>
        Effect.forEach(
          entries,
          ([place, batch]) =>
            Effect.map(window.withPermit(appendOne(batch)), (position) => {
              positions[place] = position
            }),
          { discard: true },
        ),
      { concurrency: "unbounded", discard: true },
    )
    return positions
  })
}
