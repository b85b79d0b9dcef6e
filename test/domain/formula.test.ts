import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { CombiningFormula, FormulaMetric, MetricDefinition, Operand } from "../../src/domain/metric/definition.ts"
import { evaluate, type NumberOf, resolveFormula } from "../../src/domain/metric/formula.ts"
import { formatFraction, fractionOf } from "../../src/domain/metric/fraction.ts"
import { parseDecimal } from "../../src/domain/measure/decimal.ts"

/** Formulas of other metrics: what they come down to, and what they can't be made of. */

const users: Operand = { metric: "active_users", stat: "users" }
const events: Operand = { metric: "active_users", stat: "events" }
const uses: Operand = { metric: "feature_adoption", stat: "events" }

const made = (name: string, formula: CombiningFormula): FormulaMetric => ({ name, version: 1, formula })
const ratio = (numerator: Operand, denominator: Operand): CombiningFormula => ({
  kind: "ratio",
  numerator,
  denominator,
})

const metricsWith = (...more: ReadonlyArray<MetricDefinition>) =>
  new Map([...Object.values(BUILTIN_METRICS), ...more].map((metric) => [metric.name, metric as MetricDefinition]))

const resolve = (formula: CombiningFormula, ...more: ReadonlyArray<MetricDefinition>) => {
  const asked = made("asked", formula)
  return resolveFormula(asked, metricsWith(asked, ...more))
}
const resolved = (formula: CombiningFormula, ...more: ReadonlyArray<MetricDefinition>) =>
  Result.getOrThrow(resolve(formula, ...more))
const problem = (formula: CombiningFormula, ...more: ReadonlyArray<MetricDefinition>) => {
  const result = resolve(formula, ...more)
  if (Result.isSuccess(result)) throw new Error("it can be worked out")
  return result.failure
}

describe("a formula", () => {
  test("equals what doubles make of it, whatever it is made of", () => {
    const NAMES = ["a", "b", "c"] as const
    const counts = NAMES.map((name): MetricDefinition => ({ name, version: 1, formula: { kind: "event-count" } }))
    const arbOperand = (formulas: number): fc.Arbitrary<Operand> =>
      fc.oneof(
        fc.constantFrom(...NAMES).map((metric) => ({ metric, stat: "events" })),
        // Formulas use earlier ones, which are sums here.
        ...(formulas === 0 ? [] : [fc.nat({ max: formulas - 1 }).map((n) => ({ metric: `sum_${n}`, stat: "sum" }))]),
      )
    const arbSums = fc.tuple(
      ...[0, 1, 2].map((n) =>
        fc
          .array(arbOperand(n), { minLength: 1, maxLength: 4 })
          .map((of): FormulaMetric => made(`sum_${n}`, { kind: "sum", of })),
      ),
    )
    fc.assert(
      fc.property(
        arbSums,
        arbOperand(3),
        arbOperand(3),
        fc.tuple(...NAMES.map(() => fc.integer({ min: -50, max: 50 }))),
        (sums, over, under, [a, b, c]) => {
          const numbers: Record<string, number> = { a: a!, b: b!, c: c! }
          for (const { name, formula } of sums) {
            if (formula.kind !== "sum") continue
            numbers[name] = formula.of.reduce((sum, { metric }) => sum + numbers[metric]!, 0)
          }
          const { expression, grain } = resolved(ratio(over, under), ...counts, ...sums)
          const found = evaluate(expression, ({ metric }) => fractionOf(parseDecimal(String(numbers[metric]))))
          expect(grain).toBeNull()
          if (numbers[under.metric] === 0) expect(found).toBeNull()
          else expect(Number(formatFraction(found!))).toBeCloseTo(numbers[over.metric]! / numbers[under.metric]!, 10)
        },
      ),
    )
  })

  test("takes a number that is not there for 0, and is nothing over it", () => {
    const { expression } = resolved(ratio(users, events))
    const only = (stat: string) => (number: NumberOf) =>
      number.stat === stat ? fractionOf(parseDecimal("3")) : undefined
    expect(evaluate(expression, only("events"))).toEqual({ numerator: 0n, denominator: 1n })
    expect(evaluate(expression, only("users"))).toBeNull()
    const sum = resolved({ kind: "sum", of: [{ metric: "r", stat: "ratio" }, users] }, made("r", ratio(users, events)))
    expect(evaluate(sum.expression, only("users"))).toBeNull()
  })

  test("names every metric that it uses, each once, and counts distinct persons as such", () => {
    const { expression, uses } = resolved(ratio({ metric: "r", stat: "per-user" }, users), {
      ...made("r", { kind: "per-user", of: events }),
      version: 7,
    })
    expect(uses.map(({ name, version }) => [name, version])).toEqual([
      ["r", 7],
      ["active_users", 1],
    ])
    expect(expression).toMatchObject({ numerator: { numerator: { distinct: false }, denominator: { distinct: true } } })
  })

  test("has the breakdown of its numbers, and of one value where that is picked, also through another formula", () => {
    const perFeature = made("per_feature", ratio(uses, { ...uses, stat: "users" }))
    expect(resolved(perFeature.formula).grain).toBe("properties.feature_name")
    const picked = resolved(ratio({ metric: "per_feature", stat: "ratio", value: "export" }, users), perFeature)
    expect(picked.grain).toBeNull()
    expect(picked.expression).toMatchObject({
      numerator: { numerator: { value: "export" }, denominator: { value: "export" } },
      denominator: { value: null },
    })
  })
})

describe("a formula is refused", () => {
  const refuses = (found: { path: string; problem: string }, path: string, words: RegExp) => {
    expect(found.path).toBe(path)
    expect(found.problem).toMatch(words)
  }

  test("that divides numbers of different grain, with both grains", () => {
    refuses(
      problem(ratio(uses, users)),
      "formula.denominator",
      /events of feature_adoption is per properties\.feature_name and day and users of active_users is one number a day; to divide/,
    )
    refuses(problem({ kind: "per-user", of: uses }), "formula.users", /feature_adoption is per .* one number a day/)
    refuses(problem({ kind: "sum", of: [users, uses] }), "formula.of[1]", /to add them up/)
  })

  test("that names no metric, with the nearest", () => {
    refuses(
      problem(ratio({ metric: "active_user", stat: "users" }, users)),
      "formula.numerator",
      /no metric active_user; did you mean active_users\?/,
    )
  })

  test("that names no statistic, or one that can't be used, with those that can", () => {
    refuses(problem(ratio({ ...users, stat: "sum" }, users)), "formula.numerator", /no statistic sum .*users, events\./)
    refuses(
      problem(ratio({ metric: "sessions", stat: "persons" }, users)),
      "formula.numerator",
      /it has sessions, events/,
    )
    const revenue: MetricDefinition = {
      name: "revenue",
      version: 1,
      formula: { kind: "property-sum", property: "properties.amount", currency: "properties.currency" },
    }
    refuses(
      problem(ratio({ metric: "revenue", stat: "sum" }, users), revenue),
      "formula.numerator",
      /sum:EUR, count:EUR/,
    )
    expect(resolved(ratio({ metric: "revenue", stat: "sum:USD" }, users), revenue).grain).toBeNull()
  })

  test("that uses a funnel, with what answers instead", () => {
    const funnel: MetricDefinition = {
      name: "signup",
      version: 1,
      formula: { kind: "funnel", steps: [{ event: "a" }, { event: "b" }] },
    }
    refuses(
      problem(ratio({ metric: "signup", stat: "users" }, users), funnel),
      "formula.numerator",
      /query funnel signup/,
    )
  })

  test("that picks a value of nothing", () => {
    refuses(problem(ratio({ ...users, value: "x" }, users)), "formula.numerator", /active_users has no breakdown/)
    const plain = made("plain", ratio(events, users))
    const picks = ratio({ metric: "plain", stat: "ratio", value: "x" }, users)
    refuses(problem(picks, plain), "formula.numerator", /plain has no breakdown/)
  })

  test("that goes in a circle, which is shown", () => {
    const a = made("a", { kind: "sum", of: [{ metric: "b", stat: "sum" }] })
    const b = made("b", { kind: "sum", of: [{ metric: "a", stat: "sum" }] })
    refuses(problem({ kind: "sum", of: [{ metric: "a", stat: "sum" }] }, a, b), "formula.of[0]", /a → b → a/)
    refuses(problem(ratio({ metric: "asked", stat: "ratio" }, users)), "formula.numerator", /asked → asked/)
  })

  test("that multiplies without end", () => {
    const levels = Array.from({ length: 9 }, (_, n) => {
      const below: Operand = n === 0 ? events : { metric: `l${n - 1}`, stat: "sum" }
      return made(`l${n}`, { kind: "sum", of: Array.from({ length: 50 }, () => below) })
    })
    refuses(
      problem({ kind: "sum", of: [{ metric: "l8", stat: "sum" }] }, ...levels),
      "formula.of[0]",
      /more than 1000 numbers/,
    )
  })
})
