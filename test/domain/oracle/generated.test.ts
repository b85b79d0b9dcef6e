import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MetricDefinition } from "../../../src/domain/metric/definition.ts"
import { oracle, oracleActiveUsers, oracleFunnel } from "../../../src/domain/oracle/oracle.ts"
import { arbHistory } from "../../support/arbitraries/histories.ts"
import { arbMetrics } from "../../support/arbitraries/metrics.ts"
import { logged } from "./fixtures.ts"

/** What the oracle says of generated histories agrees with itself. */

describe("the oracle over generated histories", () => {
  it("is a function of the set of events, not of their order", () => {
    fc.assert(
      fc.property(
        arbHistory({ dedupeHorizonMillis: null }).chain(({ events, settings }) =>
          fc.record({
            events: fc.constant(events),
            settings: fc.constant(settings),
            shuffled: fc.shuffledSubarray(events, { minLength: events.length }),
          }),
        ),
        arbMetrics,
        ({ events, shuffled, settings }, metrics) => {
          const one = oracle(logged(events), settings, metrics)
          const other = oracle(logged(shuffled), settings, metrics)
          expect(sorted(other)).toEqual(sorted(one))
        },
      ),
    )
  })

  it("agrees with itself between a day's cells and the range of that day", () => {
    fc.assert(
      fc.property(arbHistory(), arbMetrics, ({ events, settings }, metrics) => {
        const { cells } = oracle(logged(events), settings, metrics)
        for (const { name, formula, filter, breakdown, renamed } of metrics) {
          for (const [key, value] of cells.get(name)!) {
            const day = key.slice(0, 10)
            const range = { from: day, to: day }
            if (formula.kind === "active-users" && breakdown === undefined && key.endsWith("users")) {
              expect(oracleActiveUsers(logged(events), settings, filter, range, renamed)).toBe(value)
            }
            if (formula.kind === "funnel" && key === `${day}|1|users`) {
              expect(oracleFunnel(logged(events), settings, formula, range, renamed).users[0]).toBe(value)
            }
          }
        }
      }),
    )
  })

  it("is asked only for definitions that a definition file may hold", () => {
    const isDefinition = Schema.is(MetricDefinition)
    fc.assert(fc.property(arbMetrics, (metrics) => metrics.every((metric) => isDefinition(metric))))
  })
})

const sorted = ({ cells, personOf }: ReturnType<typeof oracle>) => ({
  cells: [...cells].map(([name, values]) => [name, [...values].sort()]),
  personOf: [...personOf].sort(),
})
