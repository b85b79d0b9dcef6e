import { Effect, Stream } from "effect"
import type { Cut } from "../../domain/log/cut.ts"
import { LogUnavailable } from "../../domain/log/errors.ts"
import { EventLog } from "../../domain/log/EventLog.ts"

/**
 * A log as it was when it ended at a cut: the batches up to there and none after. It only reads: nobody can append, or
 * accept the log behind it as it is.
 */
export const logUpTo = (log: EventLog["Service"], cut: Cut): EventLog["Service"] => {
  const ends = new Map(cut.map(({ position }) => [position.partition, position]))
  const endOf = (partition: number): number => ends.get(partition)?.sequence ?? 0

  const read: EventLog["Service"]["read"] = (partition, after) =>
    typeof after === "number" && after >= endOf(partition)
      ? Stream.empty
      : log.read(partition, after).pipe(
          Stream.takeUntil(({ position }) => position.sequence >= endOf(partition)),
          // The batch at the end may have been removed since.
          Stream.filter(({ position }) => position.sequence <= endOf(partition)),
        )

  return EventLog.of({
    incarnation: log.incarnation,
    partitions: log.partitions,
    writers: log.writers,
    append: () =>
      Effect.fail(
        new LogUnavailable({
          attempted: "append to the log",
          reason: "it is a log as it once was, which only reads",
          retryable: false,
        }),
      ),
    read,
    follow: (partition, after) => Stream.concat(read(partition, after), Stream.never),
    at: (partition, sequence) => (sequence > endOf(partition) ? Effect.succeed(null) : log.at(partition, sequence)),
    // Only what a reader of the batches would find: the log's own figures are about all of it.
    status: Effect.forEach(ends.values(), (last) =>
      read(last.partition, 0).pipe(
        Stream.runCount,
        Effect.map((records) => ({ partition: last.partition, records, events: null, bytes: null, last })),
        Effect.catchTag("LogDamaged", ({ problem }) =>
          Effect.fail(new LogUnavailable({ attempted: "read the log", reason: problem, retryable: false })),
        ),
      ),
    ),
    prove: log.prove,
    begins: log.begins,
    acceptEnd: Effect.void,
  })
}
