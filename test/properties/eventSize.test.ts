import fc from "fast-check"
import { Result } from "effect"
import { describe, expect, test } from "vitest"
import { BATCH_BYTES_MAX } from "../../src/app/LogWriter.ts"
import { admit, type Door } from "../../src/domain/event/admit.ts"
import type { Json, JsonObject } from "../../src/domain/event/json.ts"
import { EVENT_BYTES_MAX, loggedBytes } from "../../src/domain/event/size.ts"
import { encodeBatch } from "../../src/domain/log/batch.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

const door = (mode: Door["mode"]): Door => ({
  now: 1_763_769_600_000,
  mode,
  skew: "correct",
  zone: TimeZone.utc,
  fallbackId: () => "0".repeat(40),
})

const ORIGIN = {
  writer: "00000000-0000-4000-8000-000000000000",
  number: Number.MAX_SAFE_INTEGER,
  previous: "0".repeat(32),
  partition: 1023,
  loggedAt: 1_763_769_600_000,
}

/** Values that take a few bytes where they come from and many in the log. */
const swelling: ReadonlyArray<readonly [string, (n: number) => Json]> = [
  ["text", (n) => "x".repeat(n)],
  ["control characters", (n) => "\u0001".repeat(n)],
  ["half surrogate pairs", (n) => "\ud800".repeat(n)],
  ["replaced bytes", (n) => "\ufffd".repeat(n)],
  ["short spellings of long numbers", (n) => Array.from({ length: n >> 2 }, () => 1e20)],
  ["the longest numbers", (n) => Array.from({ length: n >> 4 }, () => -Number.MIN_VALUE * 1.234567890123456)],
  ["nothing, often", (n) => Array.from({ length: n >> 1 }, () => null)],
  ["names of columns", (n) => Object.fromEntries(Array.from({ length: n >> 4 }, (_, k) => [`column ${k}`, true]))],
]

const anEvent = fc
  .record({
    type: fc.constantFrom("track", "page", "screen", "identify"),
    place: fc.constantFrom("properties", "event", "name", "userId", "sessionId", "context", "messageId"),
    size: fc.integer({ min: 0, max: EVENT_BYTES_MAX }),
    value: fc.constantFrom(...swelling),
    mode: fc.constantFrom<Door["mode"]>("client", "import"),
  })
  .map(({ type, place, size, value, mode }) => {
    const content = value[1](size)
    const held: JsonObject =
      place === "context"
        ? { context: { sessionId: content } }
        : place === "properties"
          ? { properties: { content } }
          : { [place]: content }
    return { mode, raw: { type, event: "e", userId: "u", timestamp: "2025-01-01T00:00:00Z", ...held } }
  })

describe("size of events", () => {
  test("no accepted event makes a batch that is too large for the log", () => {
    const seen = { accepted: 0, "too-large": 0 }
    fc.assert(
      fc.property(anEvent, ({ raw, mode }) => {
        const admitted = admit(raw, door(mode))
        if (Result.isFailure(admitted)) {
          if (admitted.failure.reason === "too-large") seen["too-large"]++
          return
        }
        seen.accepted++
        expect(loggedBytes(admitted.success)).toBeLessThanOrEqual(EVENT_BYTES_MAX)
        expect(encodeBatch(ORIGIN, [admitted.success]).bytes.length).toBeLessThanOrEqual(BATCH_BYTES_MAX)
      }),
      { numRuns: 150 },
    )
    // Else it would say nothing.
    expect(Math.min(seen.accepted, seen["too-large"])).toBeGreaterThan(0)
  })

  test.each(swelling)("of %s, an event of just the largest size is taken, and a larger one is not", (_, valueOf) => {
    const sizeWith = (n: number) => {
      const admitted = admit({ event: "e", timestamp: 0, properties: { content: valueOf(n) } }, door("import"))
      return Result.isSuccess(admitted) ? loggedBytes(admitted.success) : admitted.failure.reason
    }
    let [taken, refused] = [0, 2 * EVENT_BYTES_MAX]
    while (refused - taken > 1) {
      const middle = (taken + refused) >> 1
      if (sizeWith(middle) === "too-large") refused = middle
      else taken = middle
    }
    expect(sizeWith(taken)).toBeGreaterThan(EVENT_BYTES_MAX - 64)
  })
})
