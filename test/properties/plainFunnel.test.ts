import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { FunnelHistory } from "../../src/domain/measure/FunnelHistory.ts"
import { funnelRules } from "../../src/domain/measure/funnelRules.ts"
import { PlainFunnel } from "../../src/domain/measure/PlainFunnel.ts"
import type { TimedLabels } from "../../src/domain/measure/points.ts"
import type { FunnelFormula } from "../../src/domain/metric/definition.ts"
import { RUNS_KIND } from "../support/laws.ts"

describe("what is plain of funnels", () => {
  const arbFormula = fc
    .record({
      steps: fc.integer({ min: 1, max: 4 }),
      window: fc.constantFrom("1ms", "5ms", "40ms", "none"),
      reentry: fc.constantFrom<NonNullable<FunnelFormula["reentry"]>>("best-entry", "first-entry-only"),
    })
    .map(({ steps, ...rules }): FunnelFormula => ({
      kind: "funnel",
      steps: Array.from({ length: steps }, (_, n) => ({ event: `e${n}` })),
      ...rules,
    }))
  const arbPerson = (steps: number) =>
    fc
      .array(fc.record({ gap: fc.integer({ min: 1, max: 9 }), step: fc.integer({ min: 0, max: steps - 1 }) }), {
        maxLength: 80,
      })
      .map((events): TimedLabels => {
        let time = 0
        return {
          count: events.length,
          // Columns may be longer: what is behind is nobody's.
          times: [...events.map(({ gap }) => (time += gap)), 1, 1],
          labels: [...events.map(({ step }) => String(step)), "0", "0,1"],
        }
      })

  test("is found as it is for all", () => {
    const arb = arbFormula.chain((formula) =>
      fc.record({
        formula: fc.constant(formula),
        persons: fc.array(arbPerson(formula.steps.length), { minLength: 1, maxLength: 4 }),
        asked: fc.func(fc.boolean()),
      }),
    )
    fc.assert(
      fc.property(arb, ({ formula, persons, asked }) => {
        const rules = funnelRules(formula)
        const plain = new PlainFunnel(rules)
        for (const points of persons) {
          const history = new FunnelHistory(points, rules)
          expect(plain.read(points)).toBe(true)
          expect(plain.entries).toEqual(history.entries)
          const entries = history.entries.filter((entry) => asked(entry))
          expect(plain.bestOf(entries)).toEqual(history.bestOf(entries))
          expect(plain.bestWhere((entry) => asked(entry))).toEqual(history.bestOf(entries))
        }
      }),
      { numRuns: RUNS_KIND },
    )
  })

  test("is nothing with two events at one instant, or an event of two steps or none", () => {
    const plain = new PlainFunnel(funnelRules({ kind: "funnel", steps: [{ event: "a" }, { event: "b" }] }))
    expect(plain.read({ count: 2, times: [1, 1], labels: ["0", "1"] })).toBe(false)
    expect(plain.read({ count: 2, times: [1, 2], labels: ["0", "0,1"] })).toBe(false)
    expect(plain.read({ count: 2, times: [1, 2], labels: ["0", ";0"] })).toBe(false)
    expect(plain.read({ count: 0, times: [], labels: [] })).toBe(true)
  })
})
