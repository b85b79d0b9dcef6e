import { Effect, Stream } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { logUpTo } from "../../src/app/asOf/logUpTo.ts"
import { encodeBatch, type PackedBatch } from "../../src/domain/log/batch.ts"
import { type Cut, formatCut, parseCut, proofOf } from "../../src/domain/log/cut.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { accept } from "../support/accept.ts"
import { layerArrayLog } from "../support/arrayLog.ts"

const PARTITIONS = [-1, 0, 1, 2]

const batch = (partition: number, number: number): PackedBatch =>
  encodeBatch({ writer: "w", number, previous: number === 1 ? "" : "p", partition, loggedAt: number }, [
    accept({ event: "click", userId: `${partition}/${number}`, timestamp: "2026-03-02T09:00:00Z" }),
  ])

/** Sizes of the partitions, and how much of each is before the cut. */
const arbPlaces = fc.tuple(...PARTITIONS.map(() => fc.record({ size: fc.nat(4), kept: fc.nat(4) })))

const logOf = (sizes: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    for (const [n, partition] of PARTITIONS.entries()) {
      yield* log.append(Array.from({ length: sizes[n]! }, (_, number) => batch(partition, number + 1)))
    }
    return log
  }).pipe(Effect.provide(layerArrayLog(3), { local: true }))

const cutAfter = (log: EventLog["Service"], kept: ReadonlyArray<number>) =>
  Effect.map(
    Effect.forEach(PARTITIONS, (partition, n) => log.at(partition, kept[n]!)),
    (records): Cut =>
      records.flatMap((record) =>
        record === null ? [] : [{ position: record.position, sum: record.position.batchId }],
      ),
  )

/** All that a log says to its readers, but for its incarnation. */
const readAll = (log: EventLog["Service"]) =>
  Effect.gen(function* () {
    const read: Array<unknown> = []
    const place = ({ batchId, sequence }: { readonly batchId: string; readonly sequence: number }) => [
      batchId,
      sequence,
    ]
    for (const partition of PARTITIONS) {
      for (let after = 0; after <= 5; after++) {
        const records = yield* Stream.runCollect(log.read(partition, after))
        read.push(records.map(({ position }) => place(position)))
        const at = yield* log.at(partition, after)
        read.push(at === null ? null : place(at.position))
      }
      const followed = log.follow(partition, 0).pipe(Stream.take(yield* Stream.runCount(log.read(partition, 0))))
      read.push((yield* Stream.runCollect(followed)).map(({ position }) => place(position)))
    }
    for (const { partition, records, last } of yield* log.status) {
      if (records > 0) read.push([partition, records, place(last!)])
    }
    return read
  })

describe("a log up to a cut", () => {
  test("reads like a log that never went further", () =>
    fc.assert(
      fc.asyncProperty(arbPlaces, (places) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const kept = places.map(({ size, kept }) => Math.min(size, kept))
            const whole = yield* logOf(places.map(({ size }) => size))
            const view = logUpTo(whole, yield* cutAfter(whole, kept))
            const short = yield* logOf(kept)
            const readable = { ...short, follow: short.read } satisfies EventLog["Service"]
            expect(yield* readAll(view)).toEqual(yield* readAll(readable))
          }),
        ),
      ),
      { numRuns: 60 },
    ))

  test("can't be appended to", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const log = yield* logOf([0, 1, 0, 0])
        const failure = yield* Effect.flip(logUpTo(log, []).append([batch(0, 2)]))
        expect(failure.message).toBe("Could not append to the log: it is a log as it once was, which only reads.")
      }),
    ))

  test("accepts nothing for the log that it is a part of", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        let accepted = 0
        const log = { ...(yield* logOf([0, 1, 0, 0])), acceptEnd: Effect.sync(() => void accepted++) }
        yield* logUpTo(log, []).acceptEnd
        expect(accepted).toBe(0)
      }),
    ))
})

const arbCut = fc
  .uniqueArray(
    fc.record({ partition: fc.integer({ min: -1, max: 255 }), sequence: fc.integer({ min: 1, max: 1e12 }) }),
    {
      selector: ({ partition }) => partition,
    },
  )
  .map((places): Cut =>
    places.map(({ partition, sequence }) => ({
      position: { incarnation: "inc", partition, sequence, batchId: `w.${partition}.1` },
      sum: `sum of ${partition}`,
    })),
  )

describe("a cut in one text", () => {
  test("names the same places and proof again, in whatever order", () =>
    fc.assert(
      fc.property(arbCut, (cut) => {
        const places = cut.map(({ position }) => [position.partition, position.sequence] as const)
        const written = parseCut(formatCut(cut))!
        expect(new Map(written.sequences)).toEqual(new Map([[-1, 0], ...places]))
        expect(written.proof).toBe(proofOf(cut))
        expect(formatCut(cut.toReversed())).toBe(formatCut(cut))
      }),
    ))

  test("has another proof where another batch stands, or in another log", () => {
    const end = { position: { incarnation: "inc", partition: 0, sequence: 7, batchId: "w.0.7" }, sum: "1122" }
    const proofs = [
      [end],
      [{ ...end, sum: "3344" }],
      [{ ...end, position: { ...end.position, incarnation: "other" } }],
    ].map((cut) => proofOf(cut))
    expect(new Set(proofs).size).toBe(3)
    expect(formatCut([end])).toBe(`0:7,c:0@${proofs[0]}`)
  })

  test.each(["", "0", "0:", "0:1,", "x:1", "0:1@", "0:1@12", "0:1,0:2", "-1:3", "0:1 ,1:2"])("is not %j", (text) => {
    expect(parseCut(text)).toBeNull()
  })
})
