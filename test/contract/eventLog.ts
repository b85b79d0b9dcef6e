import { deepStrictEqual } from "node:assert"
import { randomBytes } from "node:crypto"
import { Cause, Effect, Exit, Result, type Scope, Stream } from "effect"
import { describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { decodeBatch, encodeBatch, type PackedBatch } from "../../src/domain/log/batch.ts"
import { ChainVerifier } from "../../src/domain/log/ChainVerifier.ts"
import {
  CONTROL_PARTITION,
  type EventLog,
  type LogRecord,
  type PartitionStatus,
} from "../../src/domain/log/EventLog.ts"
import type { Position } from "../../src/domain/log/position.ts"

/** A log, opened. */
export interface OpenedLog {
  readonly log: EventLog["Service"]
  /** Takes a record away behind the log's back, as retention or an operator would. */
  readonly remove: (partition: number, sequence: number) => Effect.Effect<unknown>
  /**
   * Replaces the bytes that are stored for a record, as a failing disk would; the log must not say they are whole. Null
   * for a log whose store has no way to replace a record: a test of its own damages the files of that store.
   */
  readonly damage: ((partition: number, sequence: number, bytes: Uint8Array) => Effect.Effect<void>) | null
}

/** Where one log lives: opening it again gives the same log, with all that it held. */
export interface LogHome {
  readonly open: (options: { readonly partitions: number }) => Effect.Effect<OpenedLog, unknown, Scope.Scope>
}

const event = (id: string, body: Event["body"] = {}): Event => ({
  id,
  kind: "track",
  name: "click",
  userId: "ann",
  anonymousId: null,
  sessionId: null,
  time: 1,
  timestamp: null,
  sentAt: null,
  receivedAt: null,
  warnings: [],
  body,
})

/** A chain of batches of one writer; each body holds `size` characters that don't compress away to nothing. */
export const chainOf = (
  count: number,
  options: { readonly writer?: string; readonly partition?: number; readonly size?: number } = {},
): ReadonlyArray<PackedBatch> => {
  const { writer = "w", partition = 0, size = 1 } = options
  const batches: Array<PackedBatch> = []
  for (let number = 1; number <= count; number++) {
    const previous = batches[batches.length - 1]?.sum ?? ""
    const text = Array.from({ length: Math.ceil(size / 8) }, (_, i) => ((i * 2_654_435_761) >>> 0).toString(36)).join(
      "",
    )
    batches.push(
      encodeBatch({ writer, number, previous, partition, loggedAt: number }, [
        event(`${writer}-${number}`, { text: text.slice(0, size) }),
      ]),
    )
  }
  return batches
}

export const readAll = (log: EventLog["Service"], partition = 0, after = 0) =>
  Stream.runCollect(log.read(partition, after))

const sequencesOf = (records: ReadonlyArray<LogRecord | Position>): ReadonlyArray<number> =>
  records.map((record) => ("position" in record ? record.position.sequence : record.sequence))

/** Every record is what was appended, byte for byte and in order. */
const expectRecords = (records: ReadonlyArray<LogRecord>, batches: ReadonlyArray<PackedBatch>): void => {
  expect(records.map(({ position }) => position.batchId)).toEqual(batches.map(({ id }) => id))
  for (const [i, { bytes }] of records.entries()) {
    if (Buffer.compare(bytes, batches[i]!.bytes) !== 0) throw new Error(`record ${i} has other bytes`)
  }
}

/** Records are always counted; events only by a log that knows them without reading. */
const expectCounts = (
  status: PartitionStatus | undefined,
  expected: { readonly records: number; readonly events: number },
): void => {
  expect(status?.records).toBe(expected.records)
  expect([expected.events, null]).toContain(status?.events)
}

/** What every adapter of the EventLog port keeps to. */
export const eventLogContract = (name: string, makeHome: () => Promise<LogHome>): void => {
  describe(`${name} as an event log`, () => {
    const scenario = (
      title: string,
      run: (opened: OpenedLog, home: LogHome) => Effect.Effect<unknown, unknown>,
      partitions = 1,
    ): void => {
      test(title, { timeout: 60_000 }, async () => {
        const home = await makeHome()
        await Effect.runPromise(Effect.scoped(Effect.flatMap(home.open({ partitions }), (opened) => run(opened, home))))
      })
    }

    scenario(
      "begins empty, and says how many partitions it has",
      ({ log }) =>
        Effect.gen(function* () {
          expect(log.partitions).toBe(3)
          expect(log.incarnation).not.toBe("")
          expect(yield* readAll(log)).toEqual([])
          expect(yield* log.at(0, 1)).toBeNull()
          expect(yield* log.status).toEqual([])
          expect(yield* log.append([])).toEqual([])
        }),
      3,
    )

    scenario("gives back what compresses to next to nothing, and what does not compress", ({ log }) =>
      Effect.gen(function* () {
        const contents = [Buffer.alloc(900_000, "x"), randomBytes(900_000), randomBytes(10), Buffer.from("{")]
        const batches = chainOf(contents.length).map((batch, i) => ({ ...batch, bytes: contents[i]! }))
        const positions = yield* log.append(batches)
        expectRecords(yield* readAll(log), batches)
        for (const [i, { sequence }] of positions.entries()) {
          expectRecords([(yield* log.at(0, sequence))!], [batches[i]!])
        }
      }),
    )

    scenario("gives back what was appended, byte for byte, in order", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(5)
        const first = yield* log.append(batches.slice(0, 2))
        const second = yield* log.append(batches.slice(2))
        const positions = [...first, ...second]
        expect(positions.map(({ batchId }) => batchId)).toEqual(batches.map(({ id }) => id))
        expect(
          positions.every(({ incarnation, partition }) => incarnation === log.incarnation && partition === 0),
        ).toBe(true)
        expect(sequencesOf(positions)).toEqual(sequencesOf(positions).toSorted((a, b) => a - b))
        expect(new Set(sequencesOf(positions)).size).toBe(5)
        expect(positions[0]!.sequence).toBeGreaterThanOrEqual(1)
        const records = yield* readAll(log)
        expect(records.map(({ position }) => position)).toEqual(positions)
        expectRecords(records, batches)
      }),
    )

    scenario("reads after a position, exclusive", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(4)
        const positions = yield* log.append(batches)
        for (const [i, position] of positions.entries()) {
          expectRecords(yield* readAll(log, 0, position.sequence), batches.slice(i + 1))
        }
        expect(yield* readAll(log, 0, positions[3]!.sequence + 100)).toEqual([])
      }),
    )

    scenario("ends a read at the end as it was when the read began", ({ log }) =>
      Effect.gen(function* () {
        // Large enough that it takes several reads of whatever lies below.
        const batches = chainOf(14, { size: 900_000 })
        yield* log.append(batches.slice(0, 12))
        const seen: Array<string> = []
        yield* log.read(0, 0).pipe(
          Stream.runForEach(({ position }) =>
            Effect.gen(function* () {
              if (seen.length === 0) yield* log.append(batches.slice(12))
              seen.push(position.batchId)
            }),
          ),
        )
        expect(seen).toEqual(batches.slice(0, 12).map(({ id }) => id))
        expectRecords(yield* readAll(log), batches)
      }),
    )

    scenario("can be read by several readers at once, and again", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(8, { size: 900_000 })
        yield* log.append(batches)
        const all = yield* Effect.all([readAll(log), readAll(log, 0, 0), readAll(log)], { concurrency: 3 })
        for (const records of all) expectRecords(records, batches)
      }),
    )

    scenario("stores a batch id once, and says where", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(3)
        const positions = yield* log.append(batches)
        expect(yield* log.append([batches[1]!])).toEqual([positions[1]])
        // Known and new in one call, and one twice in one call.
        const more = chainOf(5).slice(3)
        const mixed = yield* log.append([batches[0]!, more[0]!, more[1]!, more[0]!])
        expect(mixed[0]).toEqual(positions[0])
        expect(mixed[3]).toEqual(mixed[1])
        expectRecords(yield* readAll(log), [...batches, ...more])
        expectCounts((yield* log.status)[0], { records: 5, events: 5 })
      }),
    )

    scenario("finds a record by its sequence", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(3)
        const positions = yield* log.append(batches)
        for (const [i, position] of positions.entries()) {
          const record = yield* log.at(0, position.sequence)
          expect(record?.position).toEqual(position)
          expectRecords([record!], [batches[i]!])
        }
        expect(yield* log.at(0, positions[2]!.sequence + 1)).toBeNull()
        expect(yield* log.at(0, 0)).toBeNull()
      }),
    )

    scenario("reads on over holes, and finds nothing in them", ({ log, remove }) =>
      Effect.gen(function* () {
        const batches = chainOf(5)
        const positions = yield* log.append(batches)
        yield* remove(0, positions[1]!.sequence)
        yield* remove(0, positions[2]!.sequence)
        const kept = [batches[0]!, batches[3]!, batches[4]!]
        const records = yield* readAll(log)
        expectRecords(records, kept)
        expect(records.map(({ position }) => position)).toEqual([positions[0], positions[3], positions[4]])
        expect(yield* log.at(0, positions[1]!.sequence)).toBeNull()
        expectRecords(yield* readAll(log, 0, positions[1]!.sequence), kept.slice(1))
        const [next] = yield* log.append(chainOf(6).slice(5))
        expect(next!.sequence).toBeGreaterThan(positions[4]!.sequence)
        // The hole is no secret to who follows the writer's chain.
        expect(problemOf(yield* readAll(log))).toBe("2 batches of writer w are missing, 2 to 3")
      }),
    )

    scenario("is proven whole until a record in the middle is gone", ({ log, remove }) =>
      Effect.gen(function* () {
        yield* log.prove
        expect(yield* log.begins(0)).toBe(1)
        const positions = yield* log.append(chainOf(6))
        yield* log.prove
        yield* remove(0, positions[2]!.sequence)
        yield* remove(0, positions[3]!.sequence)
        const error = yield* Effect.flip(log.prove)
        expect(error).toMatchObject({ _tag: "LogDamaged", sequence: positions[2]!.sequence })
        expect(error.message).toContain(`2 records are missing, ${positions[2]!.sequence} to ${positions[3]!.sequence}`)
      }),
    )

    scenario("follows: what is there, then what comes, without an end", ({ log }) =>
      Effect.gen(function* () {
        const batches = chainOf(9)
        const positions = yield* log.append(batches.slice(0, 3))
        const seen: Array<LogRecord> = []
        yield* log.follow(0, positions[0]!.sequence).pipe(
          Stream.take(8),
          Stream.runForEach((record) =>
            Effect.gen(function* () {
              seen.push(record)
              // Each that comes brings the next, so the reader is at the end of the log again and again.
              if (seen.length >= 2 && seen.length < 8) {
                const next = batches[seen.length + 1]!
                yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, log.append([next])))
              }
            }),
          ),
        )
        expectRecords(seen, batches.slice(1))
      }),
    )

    scenario("goes on after a record that stands there, and gives nothing after one that does not", ({ log, remove }) =>
      Effect.gen(function* () {
        const batches = chainOf(4)
        const positions = yield* log.append(batches)
        const records = yield* readAll(log)
        const another = chainOf(4, { writer: "another" })
        for (const way of ["read", "follow"] as const) {
          const after = (place: LogRecord, count: number) =>
            log[way](0, place).pipe(Stream.take(count), Stream.runCollect)
          expectRecords(yield* after(records[1]!, 2), batches.slice(2))
          for (const n of way === "read" ? [0, 1, 3] : [0, 1]) {
            const { position, bytes } = records[n]!
            const others = [
              { position: { ...position, batchId: another[n]!.id }, bytes: another[n]!.bytes },
              { position, bytes: Buffer.concat([bytes, Buffer.from(" ")]) },
            ]
            for (const other of others) {
              const error = yield* Effect.flip(after(other, 4))
              expect(error).toMatchObject({ _tag: "LogDamaged", sequence: position.sequence })
              expect(error.message).toContain(
                `batch ${position.batchId} stands where ${other.position.batchId} was read: the log was put back to an older copy`,
              )
            }
          }
        }
        yield* remove(0, positions[2]!.sequence)
        const error = yield* Effect.flip(Stream.runCollect(log.read(0, records[2]!)))
        expect(error).toMatchObject({ _tag: "LogDamaged", sequence: positions[2]!.sequence })
        expect(error.message).toContain("the record that was read here is gone")
      }),
    )

    scenario(
      "keeps partitions apart, the control facts' too",
      ({ log }) =>
        Effect.gen(function* () {
          const byPartition = [CONTROL_PARTITION, 0, 1, 2].map(
            (partition) => [partition, chainOf(2 + partition, { partition })] as const,
          )
          // One append over all partitions, mixed.
          const mixed = byPartition
            .flatMap(([, batches]) => batches)
            .toSorted((a, b) => a.origin.number - b.origin.number)
          const positions = yield* log.append(mixed)
          expect(positions.map(({ partition }) => partition)).toEqual(mixed.map(({ origin }) => origin.partition))
          for (const [partition, batches] of byPartition) expectRecords(yield* readAll(log, partition), batches)
          expect(yield* readAll(log, 3)).toEqual([])
          const status = yield* log.status
          expect(status.map(({ partition }) => partition)).toEqual([CONTROL_PARTITION, 0, 1, 2])
        }),
      3,
    )

    scenario(
      "counts records and events of each partition, and knows its last position",
      ({ log }) =>
        Effect.gen(function* () {
          const positions = yield* log.append([...chainOf(2, { partition: 0 }), ...chainOf(3, { partition: 1 })])
          const [zero, one, ...rest] = yield* log.status
          expect(zero).toMatchObject({ partition: 0, last: positions[1] })
          expect(one).toMatchObject({ partition: 1, last: positions[4] })
          expectCounts(zero, { records: 2, events: 2 })
          expectCounts(one, { records: 3, events: 3 })
          // A log whose partitions share their files can't tell the bytes of one.
          if (zero!.bytes !== null) expect(zero!.bytes).toBeGreaterThan(0)
          expect(rest).toEqual([])
        }),
      2,
    )

    scenario("interleaves writers, each with its own chain", ({ log }) =>
      Effect.gen(function* () {
        const a = chainOf(5, { writer: "a" })
        const b = chainOf(5, { writer: "b" })
        yield* Effect.all(
          a.flatMap((batch, i) => [log.append([batch]), log.append([b[i]!])]),
          { concurrency: 1 },
        )
        expect(problemOf(yield* readAll(log))).toBeNull()
      }),
    )

    scenario("takes appends of many fibers at once, each in its own order", ({ log }) =>
      Effect.gen(function* () {
        const writers = ["a", "b", "c", "d"].map((writer) => chainOf(10, { writer }))
        yield* Effect.all(
          writers.map((batches) => Effect.forEach(batches, (batch) => log.append([batch]))),
          { concurrency: "unbounded" },
        )
        const records = yield* readAll(log)
        expect(records.length).toBe(40)
        expect(problemOf(records)).toBeNull()
      }),
    )

    test("is the same log when it is opened again", { timeout: 60_000 }, async () => {
      const home = await makeHome()
      const batches = chainOf(4)
      const open = <A>(use: (opened: OpenedLog) => Effect.Effect<A, unknown>) =>
        Effect.runPromise(Effect.scoped(Effect.flatMap(home.open({ partitions: 2 }), use)))
      const before = await open(({ log }) =>
        Effect.map(log.append(batches.slice(0, 3)), (positions) => ({ positions, incarnation: log.incarnation })),
      )
      const after = await open(({ log }) =>
        Effect.gen(function* () {
          const records = yield* readAll(log)
          const again = yield* log.append([batches[1]!])
          const more = yield* log.append(batches.slice(3))
          return { incarnation: log.incarnation, partitions: log.partitions, records, again, more }
        }),
      )
      expect(after.incarnation).toBe(before.incarnation)
      expect(after.partitions).toBe(2)
      expect(after.records.map(({ position }) => position)).toEqual(before.positions)
      expectRecords(after.records, batches.slice(0, 3))
      expect(after.again).toEqual([before.positions[1]])
      expect(after.more[0]!.sequence).toBeGreaterThan(before.positions[2]!.sequence)
      const last = await open(({ log }) => readAll(log))
      expectRecords(last, batches)
    })

    test("is another log in another place", { timeout: 60_000 }, async () => {
      const incarnationOf = async (home: LogHome) =>
        Effect.runPromise(Effect.scoped(Effect.map(home.open({ partitions: 1 }), ({ log }) => log.incarnation)))
      expect(await incarnationOf(await makeHome())).not.toBe(await incarnationOf(await makeHome()))
    })

    scenario("hands on damaged bytes as damaged, never as other events", ({ log, damage }) =>
      Effect.gen(function* () {
        if (damage === null) return
        const batches = chainOf(3)
        const [first, second] = yield* log.append(batches)
        const { bytes } = batches[1]!
        const flipped = Uint8Array.from(bytes)
        flipped[bytes.length - 5]! ^= 4
        for (const found of [flipped, bytes.subarray(0, 40), new Uint8Array(0), Buffer.from("not a batch")]) {
          yield* damage(0, second!.sequence, found)
          const records = yield* readAll(log)
          expect(records.length).toBe(3)
          const opened = records.map((record) => decodeBatch(record.bytes))
          expect(opened.map(Result.isSuccess)).toEqual([true, false, true])
          expect(Result.getOrThrow(Result.flip(opened[1]!))._tag).toBe("CorruptBatch")
          const record = yield* log.at(0, second!.sequence)
          expect(Result.isFailure(decodeBatch(record!.bytes))).toBe(true)
        }
        // Whole batches where others should be are seen by who follows the chain.
        yield* damage(0, second!.sequence, batches[0]!.bytes)
        expect(problemOf(yield* readAll(log))).toBe("batch 1 of writer w stands here a second time")
        const forged = encodeBatch(batches[1]!.origin, [event("forged")])
        yield* damage(0, second!.sequence, forged.bytes)
        expect(problemOf(yield* readAll(log))).toBe(
          "batch 3 of writer w follows another batch 2 than the one in this log",
        )
        deepStrictEqual(yield* log.at(0, first!.sequence).pipe(Effect.map((record) => record?.position)), first)
      }),
    )
  })
}

/** What a reader who follows the chains says of records; `null` when they are whole. */
const problemOf = (records: ReadonlyArray<LogRecord>): string | null => {
  const chain = new ChainVerifier(records[0]?.position.partition ?? 0)
  for (const { position, bytes } of records) {
    const accepted = chain.accept(position.sequence, Result.getOrThrow(decodeBatch(bytes)))
    if (Result.isFailure(accepted)) return accepted.failure.problem
  }
  return null
}

/** The typed failure of an effect; a defect or a success is an error of the test. */
export const failureOf = async <E>(effect: Effect.Effect<unknown, E>): Promise<E> => {
  const exit = await Effect.runPromiseExit(effect)
  if (Exit.isSuccess(exit)) throw new Error("it succeeded")
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) throw new Error(`no typed failure: ${Cause.pretty(exit.cause)}`)
  return failure.error
}
