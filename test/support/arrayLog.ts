import { randomUUID } from "node:crypto"
import { Effect, Layer, Stream } from "effect"
import { EventLog, type LogRecord, sequenceOf } from "../../src/domain/log/EventLog.ts"
import type { Position } from "../../src/domain/log/position.ts"

/** A log in memory, as durable as its process: for tests that are about what is read from it, thousands of times. */
export const layerArrayLog = (partitions: number): Layer.Layer<EventLog> =>
  Layer.sync(EventLog, () => {
    const incarnation = randomUUID()
    const records = new Map<number, Array<LogRecord>>()
    const of = (partition: number): Array<LogRecord> => {
      const held = records.get(partition) ?? []
      records.set(partition, held)
      return held
    }
    return EventLog.of({
      incarnation,
      partitions,
      writers: "one",
      append: (batches) =>
        Effect.sync(() =>
          batches.map((batch) => {
            const { partition } = batch.origin
            const sequence = of(partition).length + 1
            const position: Position = { incarnation, partition, sequence, batchId: batch.id }
            of(partition).push({ position, bytes: batch.bytes })
            return position
          }),
        ),
      read: (partition, after) => Stream.suspend(() => Stream.fromIterable(of(partition).slice(sequenceOf(after)))),
      follow: () => Stream.die("a log in memory is only read to its end"),
      at: (partition, sequence) => Effect.sync(() => of(partition)[sequence - 1] ?? null),
      status: Effect.sync(() =>
        Array.from(records, ([partition, held]) => ({
          partition,
          records: held.length,
          events: null,
          bytes: null,
          last: held.at(-1)?.position ?? null,
        })),
      ),
      prove: Effect.void,
      begins: () => Effect.succeed(1),
      acceptEnd: Effect.void,
    })
  })
