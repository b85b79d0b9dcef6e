import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  EMPTY_POINTS,
  eventKey,
  joinPoints,
  type Points,
  sortPoints,
  splitPoints,
} from "../../src/domain/measure/points.ts"
import { RUNS_PURE, shuffled } from "../support/laws.ts"

/** The moments that a fact keeps: how they are ordered, joined, cut and named by keys. */

describe("points", () => {
  /** Events that happened, each with its own key and label, and for each three bits: in which sets it is. */
  const arbMoments = fc
    .array(
      fc.record({
        time: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 8.64e15 })),
        // Sequence, place and partition as far as they go.
        key: fc.oneof(
          fc.integer({ min: 0, max: 9 }),
          fc
            .tuple(fc.nat(255), fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.nat(4095))
            .map(([partition, sequence, place]) => eventKey(partition, sequence, place)),
        ),
        label: fc.oneof(fc.constantFrom("", "0", "0,1;2", "__proto__"), fc.string({ unit: "binary", maxLength: 4 })),
        sets: fc.integer({ min: 0, max: 7 }),
      }),
      { maxLength: 12 },
    )
    .map((moments) => [...new Map(moments.map((moment) => [moment.key, moment])).values()])

  const pointsOf = (moments: ReadonlyArray<{ time: number; key: number; label: string }>): Points =>
    sortPoints({
      times: moments.map(({ time }) => time),
      keys: moments.map(({ key }) => key),
      labels: moments.map(({ label }) => label),
    })

  test("join associatively, commutatively, idempotently, into an ordered set", () => {
    fc.assert(
      fc.property(arbMoments, (moments) => {
        const part = (bits: number) => pointsOf(moments.filter(({ sets }) => (sets & bits) !== 0))
        const [a, b, c] = [part(1), part(2), part(4)] as const
        expect(joinPoints(joinPoints(a, b), c)).toEqual(joinPoints(a, joinPoints(b, c)))
        expect(joinPoints(a, b)).toEqual(joinPoints(b, a))
        expect(joinPoints(a, a)).toEqual(a)
        expect(joinPoints(a, EMPTY_POINTS)).toEqual(a)
        expect(joinPoints(joinPoints(a, b), c)).toEqual(part(7))
      }),
      { numRuns: RUNS_PURE },
    )
  })

  test("sorting forgets order and repetition", () => {
    fc.assert(
      fc.property(
        arbMoments.chain((moments) => fc.tuple(fc.constant(moments), shuffled([...moments, ...moments.slice(0, 3)]))),
        ([moments, others]) => {
          expect(pointsOf(others)).toEqual(pointsOf(moments))
        },
      ),
      { numRuns: RUNS_PURE },
    )
  })

  test("cut at an instant, they are what was before it and from it on", () => {
    fc.assert(
      fc.property(arbMoments, fc.integer({ min: 0, max: 4 }), (moments, instant) => {
        const [before, from] = splitPoints(pointsOf(moments), instant)
        expect(before).toEqual(pointsOf(moments.filter(({ time }) => time < instant)))
        expect(from).toEqual(pointsOf(moments.filter(({ time }) => time >= instant)))
        expect(joinPoints(before, from)).toEqual(pointsOf(moments))
      }),
      { numRuns: RUNS_PURE },
    )
  })

  test("keys of events are different numbers below 2^52", () => {
    const arb = fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.nat(4095))
    fc.assert(
      fc.property(arb, arb, (a, b) => {
        expect(eventKey(...a)).toBeLessThan(2 ** 52)
        expect(eventKey(...a) === eventKey(...b)).toBe(a.join() === b.join())
      }),
      { numRuns: RUNS_PURE },
    )
  })
})
