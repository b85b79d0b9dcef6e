import { Effect } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { CountedBothWays } from "../../src/app/verify/bothWays.ts"
import { countingNowhere } from "../../src/app/verify/countingNowhere.ts"
import { firstParting } from "../../src/app/verify/firstParting.ts"
import { sampleDays } from "../../src/app/verify/sample.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { namesLookedAt } from "../../src/domain/metric/eventsNamed.ts"
import { oracle, type OracleInput } from "../../src/domain/oracle/oracle.ts"
import { arbHistory } from "../support/arbitraries/histories.ts"
import { arbMetrics } from "../support/arbitraries/metrics.ts"

const inputOf = (events: ReadonlyArray<Event>): ReadonlyArray<OracleInput> =>
  events.map((event, n) => ({ event, partition: 0, loggedAt: n }))

describe("the oracle", () => {
  test("asked for some days gives the cells of those days", () =>
    fc.assert(
      fc.property(arbHistory(), arbMetrics, fc.integer({ min: 2, max: 4 }), ({ events, settings }, metrics, nth) => {
        const isAsked = (day: string) => Number(day.slice(-2)) % nth === 0
        const all = oracle(inputOf(events), settings, metrics)
        const some = oracle(inputOf(events), settings, metrics, isAsked)
        for (const { name } of metrics) {
          const expected = [...all.cells.get(name)!].filter(([key]) => isAsked(key.split("|")[0]!))
          expect(new Map(some.cells.get(name))).toEqual(new Map(expected))
        }
      }),
      { numRuns: 150 },
    ))

  test("needs nothing of events that a metric does not look at, but who they say is who", () =>
    fc.assert(
      fc.property(arbHistory(), arbMetrics, ({ events, settings }, metrics) => {
        for (const metric of metrics) {
          const names = namesLookedAt([metric])
          const held = events.map((event) => (names === null || names.has(event.name) ? event : countingNowhere(event)))
          const expected = oracle(inputOf(events), settings, [metric]).cells
          expect(oracle(inputOf(held), settings, [metric]).cells).toEqual(expected)
        }
      }),
      { numRuns: 150 },
    ))
})

describe("a sample of days", () => {
  const arbDays = fc.uniqueArray(
    fc.integer({ min: 10, max: 99 }).map((n) => `2026-01-${n}`),
    { minLength: 1 },
  )

  test("depends on the days and the seed alone, and has the size asked for", () =>
    fc.assert(
      fc.property(arbDays, fc.integer({ min: 1, max: 120 }), fc.string(), (days, wanted, seed) => {
        const sample = sampleDays(days, { days: wanted }, seed)
        expect(sample.size).toBe(Math.min(wanted, days.length))
        expect([...sample].every((day) => days.includes(day))).toBe(true)
        expect(sampleDays([...days.toReversed(), ...days], { days: wanted }, seed)).toEqual(sample)
        expect(sampleDays(days, { share: 1 }, seed)).toEqual(new Set(days))
        expect(sampleDays(days, { share: 0.0001 }, seed).size).toBe(1)
      }),
    ))

  test("comes to every day in time", () => {
    const days = Array.from({ length: 30 }, (_, n) => `2026-01-${n}`)
    const seen = new Set(Array.from({ length: 60 }, (_, n) => [...sampleDays(days, { share: 0.1 }, `0:${n}`)]).flat())
    expect(seen.size).toBe(30)
  })
})

describe("the first parting", () => {
  test("is an event before which both agree and with which they don't", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 84, maxLength: 84 }),
        async (sizes, agreements) => {
          const before = (batch: number) => sizes.slice(0, batch).reduce((sum, size) => sum + size, 0)
          const partsAfter = (events: number) => events > 0 && !agreements[events - 1]!
          const counted: CountedBothWays = {
            batches: sizes.length,
            eventsOf: (batch) => sizes[batch]!,
            at: (batch, place) => ({ partition: 0, sequence: batch, place, logTime: 0, event: undefined as never }),
            valuesAfter: (batches, places) => {
              const parts = partsAfter(before(batches) + places)
              return Effect.succeed({ engine: parts ? "1" : null, oracle: null })
            },
          }
          const found = await Effect.runPromise(firstParting(counted))
          expect(found === null).toBe(!partsAfter(before(sizes.length)))
          if (found === null) return
          const events = before(found.at.sequence) + found.at.place
          expect([partsAfter(events), partsAfter(events + 1)]).toEqual([false, true])
        },
      ),
    ))
})
