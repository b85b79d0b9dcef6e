import { deepStrictEqual } from "node:assert"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, test, vi } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import {
  type Batch,
  BATCH_EVENTS_MAX,
  type BatchOrigin,
  decodeBatch,
  encodeBatch,
  type PackedBatch,
} from "../../src/domain/log/batch.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { ChainVerifier } from "../../src/domain/log/ChainVerifier.ts"
import { arbEvent } from "../support/arbitraries/events.ts"
import { GOLDEN } from "../support/shipped.ts"

// Hundreds of runs take seconds, more on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

/** Runs of what a healthy codec does. */
const RUNS_CODEC = 500
/** Runs of damage; each damages one batch at several places. */
const RUNS_DAMAGE = 500
/** Runs of each law about chains. */
const RUNS_CHAIN = 300

const arbOrigin: fc.Arbitrary<BatchOrigin> = fc.record(
  {
    writer: fc.oneof(fc.constantFrom("w", "__proto__", "1"), fc.string({ unit: "binary", maxLength: 8 })),
    number: fc.integer({ min: 1, max: 2 ** 32 }),
    previous: fc.constantFrom("", "0123456789abcdef0123456789abcdef"),
    partition: fc.integer({ min: -1, max: 255 }),
    loggedAt: fc.integer({ min: 0, max: 8.64e15 }),
  },
  { noNullPrototype: true },
)

const arbEvents = fc.array(arbEvent, { minLength: 1, maxLength: 12 })

const decoded = (bytes: Uint8Array): Batch => Result.getOrThrow(decodeBatch(bytes))

/** A batch with more columns in its first line, as a newer version would write it. */
const withColumns = (bytes: Uint8Array, columns: JsonObject): Uint8Array => {
  const text = Buffer.from(bytes).toString()
  const end = text.indexOf("\n")
  const header = text.slice(0, end - 1) + "," + JSON.stringify(columns).slice(1)
  const checked = Buffer.from((header + text.slice(end)).slice(48))
  const sum = createHash("sha256").update(checked).digest("hex").slice(0, 32)
  return Buffer.concat([Buffer.from(`{"v":1,"sum":"${sum}",`), checked])
}

const goldenBytes = readFileSync(join(GOLDEN, "batch-v1.ndjson"))

const tagOf = (bytes: Uint8Array): string =>
  Result.match(decodeBatch(bytes), { onSuccess: () => "decoded", onFailure: ({ _tag }) => _tag })

describe("the batch codec", () => {
  test("decode ∘ encode is identity", () => {
    fc.assert(
      fc.property(arbOrigin, arbEvents, (origin, events) => {
        const packed = encodeBatch(origin, events)
        const batch = decoded(packed.bytes)
        deepStrictEqual(batch.events(), events)
        deepStrictEqual(batch.origin, origin)
        deepStrictEqual([batch.id, batch.sum, batch.count], [packed.id, packed.sum, packed.count])
        for (const [i, event] of events.entries()) {
          // Hot columns, as projections read them.
          deepStrictEqual(
            [
              batch.ids[i],
              batch.kind(i),
              batch.names[batch.nameIndex(i)],
              batch.users[batch.userIndex(i)] ?? null,
              batch.anonymous[batch.anonymousIndex(i)] ?? null,
              batch.sessions[batch.sessionIndex(i)] ?? null,
              batch.times[i],
              batch.receivedAt(i),
            ],
            [
              event.id,
              event.kind,
              event.name,
              event.userId,
              event.anonymousId,
              event.sessionId,
              event.time,
              event.receivedAt,
            ],
          )
        }
      }),
      { numRuns: RUNS_CODEC },
    )
  })

  test("encode ∘ decode is identity, and bytes may lie anywhere in a buffer", () => {
    fc.assert(
      fc.property(arbOrigin, arbEvents, fc.nat(9), (origin, events, offset) => {
        const { bytes } = encodeBatch(origin, events)
        const padded = Buffer.concat([Buffer.alloc(offset), bytes, Buffer.from("{}\n")])
        const batch = decoded(padded.subarray(offset, offset + bytes.length))
        expect(Buffer.compare(encodeBatch(batch.origin, batch.events()).bytes, bytes)).toBe(0)
      }),
      { numRuns: RUNS_CODEC },
    )
  })

  test("what only a newer version knows passes through, also into other batches", () => {
    const known = new Set(Object.keys(JSON.parse(goldenBytes.toString().split("\n")[0]!) as JsonObject))
    const arbNewer = fc.dictionary(
      fc
        .oneof(fc.constantFrom("region", "__proto__", "length"), fc.string({ minLength: 1 }))
        .filter((name) => !known.has(name)),
      fc.oneof(
        fc.record({ each: fc.array(fc.jsonValue(), { minLength: 12, maxLength: 12 }) }),
        fc.record({ all: fc.jsonValue().filter((value) => !Array.isArray(value)) }),
      ),
      { minKeys: 1, maxKeys: 3 },
    )
    fc.assert(
      fc.property(arbOrigin, arbEvents, arbNewer, fc.nat(11), (origin, events, columns, cut) => {
        const asWritten = Object.entries(columns).map(([name, column]) => [
          name,
          "each" in column ? column.each.slice(0, events.length) : column.all,
        ])
        const batch = decoded(
          withColumns(encodeBatch(origin, events).bytes, Object.fromEntries(asWritten) as JsonObject),
        )
        // What this version knows is as if the columns were not there; what it doesn't is beside it.
        for (const [i, event] of batch.events().entries()) deepStrictEqual(event, { ...events[i]!, newer: event.newer })
        deepStrictEqual(batch.origin, origin)
        const newer = events.map((_, i) =>
          Object.fromEntries(
            Object.entries(columns).map(([name, column]) => [name, "each" in column ? column.each[i]! : column.all]),
          ),
        )
        expect(batch.events().map((event) => JSON.stringify(event.newer))).toEqual(
          newer.map((it) => JSON.stringify(it)),
        )

        // As a spool does that hands its events on.
        const other = { ...origin, number: origin.number + 1 }
        const [front, back] = [batch.events().slice(0, cut), batch.events().slice(cut)]
        const again = [front, back].flatMap((part) =>
          part.length === 0 ? [] : decoded(encodeBatch(other, part).bytes).events(),
        )
        expect(again.map((event) => JSON.stringify(event.newer))).toEqual(newer.map((it) => JSON.stringify(it)))
      }),
      { numRuns: RUNS_CODEC },
    )
  })

  test("events with and without columns of a newer version go into one batch, and known columns stand", () => {
    const [first, second] = fc.sample(arbEvent, { numRuns: 2, seed: 1 }) as [Event, Event]
    const origin: BatchOrigin = { writer: "w", number: 1, previous: "", partition: 0, loggedAt: 0 }
    const batch = decoded(encodeBatch(origin, [{ ...first, newer: { region: ["eu"], count: 7 } }, second]).bytes)
    expect(batch.count).toBe(2)
    deepStrictEqual(batch.events(), [
      { ...first, newer: { region: ["eu"] } },
      { ...second, newer: { region: null } },
    ])
  })

  test("packs 1 to BATCH_EVENTS_MAX events", () => {
    const origin: BatchOrigin = { writer: "w", number: 1, previous: "", partition: 0, loggedAt: 0 }
    const [event] = fc.sample(arbEvent, { numRuns: 1, seed: 1 }) as [Event]
    const many = Array.from({ length: BATCH_EVENTS_MAX }, (_, i) => ({ ...event, id: `e${i}` }))
    deepStrictEqual(decoded(encodeBatch(origin, many).bytes).events(), many)
    expect(() => encodeBatch(origin, [])).toThrow(RangeError)
    expect(() => encodeBatch(origin, [...many, event])).toThrow(RangeError)
  })

  const arbDamaged = fc.tuple(arbOrigin, arbEvents).map(([origin, events]) => encodeBatch(origin, events).bytes)

  test("every truncation is a typed error", () => {
    fc.assert(
      fc.property(
        arbDamaged,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })),
        (bytes, cuts) => {
          for (const cut of [...cuts.map((share) => Math.floor(share * bytes.length)), 0, bytes.length - 1]) {
            expect(tagOf(bytes.subarray(0, cut))).toBe("CorruptBatch")
          }
        },
      ),
      { numRuns: RUNS_DAMAGE },
    )
  })

  test("anything after the end is a typed error", () => {
    fc.assert(
      fc.property(arbDamaged, fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes, more) => {
        expect(tagOf(Buffer.concat([bytes, more]))).toBe("CorruptBatch")
      }),
      { numRuns: RUNS_DAMAGE },
    )
  })

  test("every flipped bit and every changed byte is a typed error", () => {
    const arbPlaces = fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.integer({ min: 1, max: 255 })),
      { minLength: 20, maxLength: 60, size: "max" },
    )
    fc.assert(
      fc.property(arbDamaged, arbPlaces, fc.nat(60), fc.nat(7), (bytes, places, head, bit) => {
        // The head holds the version, the checksum and the beginning of the header: it is worth its own place.
        const inHead: readonly [number, number] = [Math.min(head, bytes.length - 1), 1 << bit]
        for (const [at, change] of [
          inHead,
          ...places.map(([share, mask]) => [Math.floor(share * bytes.length), mask] as const),
        ]) {
          const damaged = Uint8Array.from(bytes)
          damaged[at]! ^= change
          expect(["CorruptBatch", "UnknownBatchVersion"]).toContain(tagOf(damaged))
        }
      }),
      { numRuns: RUNS_DAMAGE },
    )
  })

  test("every single bit of one batch, flipped, is a typed error", () => {
    const bytes = goldenBytes
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Uint8Array.from(bytes)
        damaged[at]! ^= 1 << bit
        const tag = tagOf(damaged)
        if (tag === "decoded") throw new Error(`bit ${bit} of byte ${at} was flipped, and nobody noticed`)
      }
    }
  })

  test("two parts of a batch that change places are a typed error", () => {
    fc.assert(
      fc.property(arbDamaged, fc.nat(), fc.nat(), (bytes, one, other) => {
        const [a, b] = [one % bytes.length, other % bytes.length]
        fc.pre(bytes[a] !== bytes[b])
        const damaged = Uint8Array.from(bytes)
        damaged[a] = bytes[b]!
        damaged[b] = bytes[a]!
        expect(tagOf(damaged)).not.toBe("decoded")
      }),
      { numRuns: RUNS_DAMAGE },
    )
  })

  test("a newer version says so, whatever follows it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 999_999_999 }), fc.uint8Array(), (version, rest) => {
        const bytes = Buffer.concat([Buffer.from(`{"v":${version},`), rest])
        const error = Result.getOrThrow(Result.flip(decodeBatch(bytes)))
        expect(error).toMatchObject({ _tag: "UnknownBatchVersion", found: version, known: 1 })
        expect(error.message).toContain(`format ${version}`)
        expect(error.message).toContain("Upgrade Tidemark.")
      }),
      { numRuns: RUNS_CODEC },
    )
  })

  test("bytes of a stranger are a typed error", () => {
    const arbForeign = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
      fc
        .constantFrom("", "{", '{"v":1,', '{"v":1}', '{"v":1,"sum":"","count":1}\n{}\n', '{"v":"1","sum":""}')
        .map((text) => Buffer.from(text)),
    )
    fc.assert(
      fc.property(arbForeign, (bytes) => {
        const error = Result.getOrThrow(Result.flip(decodeBatch(bytes)))
        expect(error).toMatchObject({ _tag: "CorruptBatch", size: bytes.length })
        expect(error.message).toMatch(/^A log record of \d+ bytes can't be read: .+\.$/s)
      }),
      { numRuns: RUNS_CODEC },
    )
  })
})

describe("the chain of writers", () => {
  const PARTITION = 3

  const pack = (
    writer: string,
    number: number,
    previous: string,
    name: string,
    partition = PARTITION,
    loggedAt = number,
  ): PackedBatch =>
    encodeBatch({ writer, number, previous, partition, loggedAt }, [
      {
        id: `${writer}-${number}`,
        kind: "track",
        name,
        userId: "u",
        anonymousId: null,
        sessionId: null,
        time: number,
        timestamp: null,
        sentAt: null,
        receivedAt: null,
        warnings: [],
        body: {},
      },
    ])

  /** Chains of several writers, interleaved. */
  const arbRecords: fc.Arbitrary<ReadonlyArray<PackedBatch>> = fc
    .array(fc.constantFrom("a", "b", "__proto__", "1"), { minLength: 1, maxLength: 20, size: "max" })
    .map((writers) => {
      const ends = new Map<string, PackedBatch>()
      return writers.map((writer) => {
        const end = ends.get(writer)
        const batch = pack(writer, (end?.origin.number ?? 0) + 1, end?.sum ?? "", "click")
        ends.set(writer, batch)
        return batch
      })
    })

  /** What a reader says who begins anew at each of `resumes`, with nothing but the state. */
  const verify = (records: ReadonlyArray<PackedBatch>, resumes: ReadonlyArray<number> = []): string | null => {
    let chain = new ChainVerifier(PARTITION)
    for (const [index, { bytes }] of records.entries()) {
      if (resumes.includes(index)) {
        chain = new ChainVerifier(PARTITION, JSON.parse(JSON.stringify(chain.state)) as typeof chain.state)
      }
      const before = JSON.stringify(chain.state)
      const accepted = chain.accept(index + 1, decoded(bytes))
      if (Result.isFailure(accepted)) {
        expect(JSON.stringify(chain.state)).toBe(before)
        expect(accepted.failure).toMatchObject({ _tag: "LogDamaged", partition: PARTITION, sequence: index + 1 })
        return accepted.failure.problem
      }
    }
    return null
  }

  /** Places of two different batches of one writer, the earlier first. */
  const arbPair = arbRecords.chain((records) => {
    const pairs = records.flatMap((a, i) =>
      records.flatMap((b, j) => (i < j && a.origin.writer === b.origin.writer ? [[i, j] as const] : [])),
    )
    return fc.tuple(fc.constant(records), pairs.length === 0 ? fc.constant(null) : fc.constantFrom(...pairs))
  })

  const damages = (
    change: (records: ReadonlyArray<PackedBatch>, one: number, other: number) => ReadonlyArray<PackedBatch>,
    problem: RegExp,
  ): void =>
    fc.assert(
      fc.property(arbPair, fc.array(fc.nat(25), { maxLength: 3 }), ([records, pair], resumes) => {
        fc.pre(pair !== null)
        expect(verify(change(records, ...pair), resumes)).toMatch(problem)
      }),
      { numRuns: RUNS_CHAIN },
    )

  test("chains of several writers, interleaved, pass, wherever the reader begins anew", () => {
    fc.assert(
      fc.property(arbRecords, fc.array(fc.nat(25), { maxLength: 5 }), (records, resumes) => {
        expect(verify(records, resumes)).toBeNull()
      }),
      { numRuns: RUNS_CHAIN },
    )
  })

  test("a batch that is gone is missed at the next one of its writer", () => {
    damages((records, one) => records.toSpliced(one, 1), /^batch \d+ of writer .+ is missing$/)
  })

  test("several batches that are gone are missed, and how many is said", () => {
    damages(
      (records, one, other) =>
        records.filter(({ origin }, at) => at < one || at >= other || origin.writer !== records[one]!.origin.writer),
      /^batch \d+ of writer .+ is missing$|^\d+ batches of writer .+ are missing, \d+ to \d+$/,
    )
  })

  test("a batch that stands twice is seen", () => {
    damages(
      (records, one, other) => records.toSpliced(other + 1, 0, records[one]!),
      /^batch \d+ of writer .+ stands here a second time$/,
    )
  })

  test("a writer's last batch once more is known, wherever it comes before the next; nothing else is", () => {
    fc.assert(
      fc.property(arbRecords, fc.nat(20), fc.nat(20), (records, place, later) => {
        const at = place % records.length
        const { id, origin } = records[at]!
        const next = records.findIndex((it, n) => n > at && it.origin.writer === origin.writer)
        const until = next < 0 ? records.length : next
        const stored = records.toSpliced(at + 1 + (later % (until - at)), 0, records[at]!)
        const chain = new ChainVerifier(PARTITION)
        const repeats: Array<number> = []
        for (const [n, record] of stored.entries()) {
          const batch = decoded(record.bytes)
          const position = { incarnation: "log", partition: PARTITION, sequence: n + 1, batchId: record.id }
          if (!chain.isRepeat(position, batch)) Result.getOrThrow(chain.accept(n + 1, batch))
          else repeats.push(n)
          expect(chain.isRepeat({ ...position, batchId: "another" }, batch)).toBe(false)
        }
        expect(repeats).toEqual([stored.findLastIndex((record) => record.id === id)])
      }),
      { numRuns: RUNS_CHAIN },
    )
  })

  test("two batches of a writer that changed places are seen", () => {
    damages(
      (records, one, other) => records.with(one, records[other]!).with(other, records[one]!),
      /is missing|are missing/,
    )
  })

  test("a batch with other content in place of the true one is seen at the next one of its writer", () => {
    damages((records, one) => {
      const { writer, number, previous } = records[one]!.origin
      return records.with(one, pack(writer, number, previous, "forged"))
    }, /^batch \d+ of writer .+ follows another batch \d+ than the one in this log$/)
  })

  test("a batch of another partition is seen", () => {
    damages((records, one) => {
      const { writer, number, previous } = records[one]!.origin
      return records.with(one, pack(writer, number, previous, "click", PARTITION + 1))
    }, /^a batch of partition 4 stands in partition 3$/)
  })

  const DAY = 86_400_000

  /** Batches of many writers over months: those with a life of days end, the others write for ever, each by its clock. */
  const arbMonths = fc
    .record({
      writers: fc.integer({ min: 80, max: 160 }),
      wrong: fc.array(fc.integer({ min: -400, max: 400 }), { maxLength: 15 }),
      life: fc.integer({ min: 1, max: 3 }),
      days: fc.integer({ min: 10, max: 25 }),
    })
    .map(({ writers, wrong, life, days }) => {
      const ends = new Map<string, PackedBatch>()
      return Array.from({ length: days * writers }, (_, n) => {
        const [day, place] = [Math.floor(n / writers), n % writers]
        // Clocks that are off belong to writers that go on.
        const lives = place < 20
        const writer = lives ? `goes on ${place}` : `${place} from day ${Math.floor(day / life) * life}`
        const end = ends.get(writer)
        const now = (1000 + day) * DAY + place
        const loggedAt = now + (lives ? (wrong[place] ?? 0) * DAY : 0)
        const batch = pack(writer, (end?.origin.number ?? 0) + 1, end?.sum ?? "", "click", PARTITION, loggedAt)
        ends.set(writer, batch)
        return batch
      })
    })

  test("no chain that goes on is forgotten, whatever clocks say; those that ended long ago are", () => {
    fc.assert(
      fc.property(arbMonths, (records) => {
        const chain = new ChainVerifier(PARTITION)
        for (const [n, { bytes }] of records.entries()) {
          expect(Result.getOrThrow(chain.accept(n + 1, decoded(bytes)))).toBeUndefined()
        }
        const lastDay = Math.max(
          ...Object.keys(chain.state).map((writer) => Number(/day (\d+)/.exec(writer)?.[1] ?? 0)),
        )
        for (const writer of Object.keys(chain.state)) {
          const day = /day (\d+)/.exec(writer)
          if (day !== null) expect(Number(day[1])).toBeGreaterThan(lastDay - 12)
        }
      }),
      { numRuns: 15 },
    )
  })

  test("what is remembered depends on the log alone, and not on where the reader begins anew", () => {
    fc.assert(
      fc.property(arbMonths, fc.array(fc.nat(4000), { maxLength: 3 }), (records, resumes) => {
        const read = (from: ReadonlyArray<number>) => {
          let chain = new ChainVerifier(PARTITION)
          for (const [n, { bytes }] of records.entries()) {
            if (from.includes(n))
              chain = new ChainVerifier(PARTITION, JSON.parse(JSON.stringify(chain.state)) as typeof chain.state)
            Result.getOrThrow(chain.accept(n + 1, decoded(bytes)))
          }
          return JSON.stringify(chain.state)
        }
        expect(read(resumes)).toBe(read([]))
      }),
      { numRuns: 10 },
    )
  })

  test("a history that parted from the reader's is seen at its first new batch", () => {
    fc.assert(
      fc.property(arbRecords, fc.nat(25), (records, at) => {
        const place = at % records.length
        const writer = records[place]!.origin.writer
        const mine = records.filter((record) => record.origin.writer === writer)
        const last = mine[mine.length - 1]!
        // The log was put back before `last`, and another batch was written under the same number, then one more.
        const forged = pack(writer, last.origin.number, last.origin.previous, "forged")
        const next = pack(writer, last.origin.number + 1, forged.sum, "click")
        expect(verify([...records, next])).toMatch(/follows another batch/)
      }),
      { numRuns: RUNS_CHAIN },
    )
  })
})
