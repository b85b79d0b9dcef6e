import { deepStrictEqual } from "node:assert"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, test, vi } from "vitest"
import { eventLine, type EventPlace } from "../../src/app/archive/eventLine.ts"
import { type Frame, encodeFrame, FrameReader } from "../../src/app/archive/frames.ts"
import { decodeManifest, encodeManifest, type Manifest } from "../../src/app/archive/manifest.ts"
import { type Event, isKnownKind } from "../../src/domain/event/Event.ts"
import { FUTURE_TOLERANCE_MILLIS } from "../../src/domain/event/eventTime.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { accept } from "../support/accept.ts"
import { arbEvent } from "../support/arbitraries/events.ts"

vi.setConfig({ testTimeout: 120_000 })

const arbFrames: fc.Arbitrary<ReadonlyArray<Frame>> = fc.array(
  fc.record({ sequence: fc.nat({ max: Number.MAX_SAFE_INTEGER }), bytes: fc.uint8Array({ maxLength: 200 }) }),
  { maxLength: 6 },
)

const framed = (frames: ReadonlyArray<Frame>): Buffer => Buffer.concat(frames.map(encodeFrame))

/** The frames of a file that is read in blocks of such sizes; `null` where it is none. */
const unframed = (file: Buffer, sizes: ReadonlyArray<number>): ReadonlyArray<Frame> | null => {
  const reader = new FrameReader()
  const frames: Array<Frame> = []
  for (let at = 0, n = 0; at < file.length; n++) {
    const size = sizes[n % sizes.length]!
    const more = reader.push(file.subarray(at, at + size))
    if (more === null) return null
    frames.push(...more)
    at += size
  }
  return reader.isWhole ? frames : null
}

const plain = (frames: ReadonlyArray<Frame> | null) =>
  frames?.map(({ sequence, bytes }) => ({ sequence, bytes: Buffer.from(bytes).toString("hex") }))

const arbSizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 })

describe("a file of batches", () => {
  test("gives back its records, however it is cut into blocks", () => {
    fc.assert(
      fc.property(arbFrames, arbSizes, (frames, sizes) => {
        deepStrictEqual(plain(unframed(framed(frames), sizes)), plain(frames))
      }),
    )
  })

  test("that was cut short is not whole", () => {
    fc.assert(
      fc.property(arbFrames, arbSizes, fc.nat(), (frames, sizes, at) => {
        const file = framed(frames)
        const cut = file.subarray(0, file.length === 0 ? 0 : at % file.length)
        const found = unframed(cut, sizes)
        // Cut between two records it is whole: that one is missing is for the manifest and the chain to say.
        if (found !== null) deepStrictEqual(plain(found), plain(frames.slice(0, found.length)))
        if (found !== null) expect(framed(found).length).toBe(cut.length)
      }),
    )
  })
})

const MANIFEST: Manifest = {
  version: 1,
  format: "batches",
  incarnation: "2f6c5a0e-7a34-4c58-9d5d-4d9f0d3f7a11",
  partitions: 3,
  exportedAt: "2026-11-25T10:00:00.000Z",
  files: [
    {
      name: "partition-2-000001.batches.zst",
      bytes: 10,
      sha256: "00".repeat(32),
      partition: 2,
      first: 1,
      last: 7,
      records: 4,
      events: 40,
    },
  ],
  quarantine: [{ name: "quarantine-000001.ndjson.zst", bytes: 3, sha256: "11".repeat(32), lines: 2 }],
  totals: { records: 4, events: 40, controlFacts: 0, quarantined: 2, bytes: 13 },
}

describe("the manifest", () => {
  test("says what was written, also when it is laid out anew", () => {
    const text = encodeManifest(MANIFEST)
    expect(Result.getOrThrow(decodeManifest(text))).toEqual(MANIFEST)
    expect(Result.getOrThrow(decodeManifest(JSON.stringify(JSON.parse(text))))).toEqual(MANIFEST)
  })

  test("with any character changed or missing says something else or nothing, and never what is not so", () => {
    const text = encodeManifest(MANIFEST)
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.constantFrom("", "0", "9", "x", '"'), (at, put) => {
        const changed = text.slice(0, at) + put + text.slice(at + 1)
        const found = decodeManifest(changed)
        // White space between values means nothing, and the version may say that another one is needed.
        if (Result.isSuccess(found)) deepStrictEqual(found.success, MANIFEST)
        else expect(Object.keys(found.failure)).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
  })

  test("of a newer version is told apart from one that is damaged", () => {
    const newer = JSON.stringify({ ...MANIFEST, version: 2 })
    expect(decodeManifest(newer)).toEqual(Result.fail({ version: 2 }))
    expect(decodeManifest("{}")).toEqual(Result.fail({ problem: "is not the manifest of an archive" }))
  })

  test("names no file outside its directory", () => {
    for (const name of ["../log.db", "/etc/passwd", "a/b", "..", ""]) {
      const text = encodeManifest({ ...MANIFEST, files: [{ ...MANIFEST.files[0]!, name }] })
      expect(Result.isFailure(decodeManifest(text))).toBe(true)
    }
  })
})

const PLACE: EventPlace = { partition: 3, sequence: 70, place: 11, loggedAt: Date.parse("2026-03-01T00:00:00Z") }

/** An event as the log can hold it: its time is not far after its receipt, which is within what clocks say. */
const arbLogged: fc.Arbitrary<Event> = arbEvent
  .filter(({ kind, time }) => isKnownKind(kind) && time < Date.parse("2090-01-01T00:00:00Z"))
  .chain((event) =>
    fc
      .option(fc.integer({ min: -FUTURE_TOLERANCE_MILLIS, max: 1e10 }))
      .map((later) => ({ ...event, receivedAt: later === null ? null : event.time + later })),
  )
  // Such a session id is read where no other is given, and this event says that none is.
  .filter(({ body }) => !JSON.stringify(body).includes("sessionId"))
  // The door gave the name of a page to its properties long ago.
  .filter(({ body }) => typeof body["name"] !== "string")

describe("an event as a line of JSON", () => {
  test("is read back by an import as the same event, and has its place in the log beside it", () => {
    fc.assert(
      fc.property(arbLogged, (event) => {
        const line = JSON.parse(eventLine(event, PLACE)) as JsonObject
        deepStrictEqual(
          { ...accept(line), timestamp: null, sentAt: null, warnings: [] },
          { ...event, timestamp: null, sentAt: null, warnings: [] },
        )
        deepStrictEqual(
          { ...(line["$log"] as JsonObject), timestamp: null, sentAt: null },
          {
            partition: 3,
            sequence: 70,
            place: 11,
            loggedAt: "2026-03-01T00:00:00.000Z",
            timestamp: null,
            sentAt: null,
            warnings: [...event.warnings],
          },
        )
      }),
      { numRuns: 500 },
    )
  })

  test("has the client's own clock below $log, and the event time where every metric looks", () => {
    const event = accept({
      id: "1",
      event: "click",
      userId: "ann",
      timestamp: "2026-03-01T10:00:00Z",
      sentAt: "2026-03-01T10:00:05Z",
      receivedAt: "2026-03-01T09:00:05Z",
      properties: { x: 1 },
    })
    expect(JSON.parse(eventLine(event, PLACE))).toEqual({
      id: "1",
      type: "track",
      event: "click",
      userId: "ann",
      anonymousId: null,
      sessionId: null,
      timestamp: "2026-03-01T09:00:00.000Z",
      receivedAt: "2026-03-01T09:00:05.000Z",
      properties: { x: 1 },
      $log: {
        partition: 3,
        sequence: 70,
        place: 11,
        loggedAt: "2026-03-01T00:00:00.000Z",
        timestamp: "2026-03-01T10:00:00.000Z",
        sentAt: "2026-03-01T10:00:05.000Z",
        warnings: [],
      },
    })
  })
})
