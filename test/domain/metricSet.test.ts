import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { AppliedMetrics } from "../../src/domain/metric/applied.ts"
import { checkDefinitions } from "../../src/domain/metric/checkDefinitions.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { afterFact, type MetricHistories } from "../../src/domain/metric/lifecycle.ts"
import type { ControlFact } from "../../src/domain/control/ControlFact.ts"
import { differencesOf, saysTheSame } from "../../src/domain/metric/differences.ts"
import { planChanges } from "../../src/domain/metric/planChanges.ts"
import { STATISTICS } from "../../src/domain/metric/statistics.ts"
import { inTreeOrder } from "../../src/domain/metric/tree.ts"
import { metricsSchema } from "../../scripts/metricsSchema.ts"
import { arbMetrics } from "../support/arbitraries/metrics.ts"

/** Definitions as a set: against each other, and against what was applied before. */

const count = (name: string, over: Partial<MetricDefinition> = {}): MetricDefinition => ({
  name,
  version: 1,
  formula: { kind: "event-count" },
  ...over,
})

const appliedOf = (
  versions: ReadonlyArray<MetricDefinition>,
  retired: Readonly<Record<string, number>> = {},
): AppliedMetrics => {
  const decision = { by: null, why: null }
  const facts: ReadonlyArray<ControlFact> = [
    ...versions.map((definition): ControlFact => ({
      name: "metric_applied",
      body: { definition, promote: "when-built", ...decision },
    })),
    ...Object.entries(retired).map(([metric, version]): ControlFact => ({
      name: "metric_retired",
      body: { metric, version, ...decision },
    })),
  ]
  return { metrics: facts.reduce<MetricHistories>((metrics, fact) => afterFact(metrics, fact, 0), new Map()) }
}

const problemsOf = (definitions: ReadonlyArray<MetricDefinition>, applied = appliedOf([])) =>
  checkDefinitions(applied, definitions).map(({ metric, path, problem }) => `${metric} ${path}: ${problem}`)

const star = count("star", { tier: "north-star" })
const result = count("result", { tier: "key-result", parent: "star" })
const input = count("input", { tier: "input", parent: "result" })

describe("the tree", () => {
  test("goes from a north star over key results to inputs; what has no tier stands outside", () => {
    expect(problemsOf([input, count("free"), result, star])).toEqual([])
    expect(problemsOf([input], appliedOf([star, result]))).toEqual([])
    const metrics = new Map([count("free"), input, star, result].map((metric) => [metric.name, metric]))
    expect(inTreeOrder(metrics).map(({ definition, depth }) => [definition.name, depth])).toEqual([
      ["star", 0],
      ["result", 1],
      ["input", 2],
      ["free", 0],
    ])
  })

  test.each([
    [
      "an orphan",
      [star, { ...result, parent: undefined as never }],
      [/^result tier: .*key-result needs a parent .*north-star/],
    ],
    [
      "a parent that there is not",
      [{ ...result, parent: "stra" }, star],
      [/^result parent: .*stra is no metric; did you mean star\?/],
    ],
    [
      "a parent two tiers up",
      [star, { ...input, parent: "star" }],
      [/^input parent: .*star is of the tier north-star; .*key-result/],
    ],
    ["a parent without a tier", [count("free"), { ...input, parent: "free" }], [/free has no tier/]],
    [
      "a north star with a parent",
      [star, { ...star, name: "other", parent: "star" }],
      [/^other parent: a north-star has no parent/],
    ],
    [
      "a parent and no tier",
      [star, count("x", { parent: "star" })],
      [/^x parent: it names the parent star and no tier/],
    ],
    [
      "a cycle",
      [count("a", { tier: "input", parent: "b" }), count("b", { tier: "key-result", parent: "a" })],
      [/^a parent: .*a → b → a/, /^b parent: .*b → a → b/],
    ],
  ] as ReadonlyArray<[string, ReadonlyArray<MetricDefinition>, ReadonlyArray<RegExp>]>)(
    "refuses %s",
    (_, definitions, expected) => {
      const found = problemsOf(definitions)
      expect(found).toHaveLength(expected.length)
      expected.forEach((words, n) => expect(found[n]).toMatch(words))
    },
  )

  test("of an older log stays as it is, but must not come apart", () => {
    const orphan = count("orphan", { tier: "input" })
    expect(problemsOf([count("free")], appliedOf([orphan]))).toEqual([])
    const lower = { ...star, version: 2, tier: "key-result" as const, parent: "other" }
    const other = { ...star, name: "other" }
    const [found, ...rest] = problemsOf([lower, other], appliedOf([star, result]))
    expect(found).toMatch(/^result parent: its parent star is of the tier key-result/)
    expect(rest).toEqual([])
  })
})

describe("versions", () => {
  const two = count("clicks", { version: 2, owner: "growth" })
  const applied = appliedOf([count("clicks"), two])

  test("go forward", () => {
    expect(problemsOf([two], applied)).toEqual([])
    expect(problemsOf([{ ...two, version: 3 }], applied)).toEqual([])
    expect(problemsOf([count("clicks")], applied)[0]).toMatch(
      /^clicks version: version 1 goes back.*version 2; give it version 3/,
    )
  })

  test("are not edited in place", () => {
    const edited = { ...two, owner: "sales", filter: { events: ["click"] } }
    expect(problemsOf([edited], applied)[0]).toMatch(/reads otherwise there \(owner, filter\); give it version 3/)
  })

  test("that were retired come back with a greater one only", () => {
    const retired = appliedOf([count("clicks"), two], { clicks: 2 })
    expect(problemsOf([two], retired)[0]).toMatch(/version 2 was retired; give it version 3 to bring the metric back/)
    expect(problemsOf([{ ...two, version: 3 }], retired)).toEqual([])
  })

  test("leave built-in metrics alone", () => {
    expect(problemsOf([count("sessions")])[0]).toMatch(/built-in/)
  })

  test("of what a formula uses must leave it something to use", () => {
    const formula: MetricDefinition = {
      name: "per",
      version: 1,
      formula: { kind: "per-user", of: { metric: "clicks", stat: "events" } },
    }
    const next = { ...two, version: 3, formula: { kind: "property-sum" as const, property: "properties.n" } }
    expect(problemsOf([next], appliedOf([count("clicks"), two, formula]))).toEqual([
      expect.stringMatching(/^per formula\.of: clicks has no statistic events/),
    ])
  })
})

describe("differences", () => {
  test("are none between a definition and itself, and both ways the same fields", () => {
    fc.assert(
      fc.property(arbMetrics, arbMetrics, ([a], [b]) => {
        const copy = JSON.parse(JSON.stringify(a)) as MetricDefinition
        expect(saysTheSame(a!, copy)).toBe(true)
        const there = differencesOf(a!, b!)
        expect(
          differencesOf(b!, a!).map(({ path, before, after }) => ({ path, before: after, after: before })),
        ).toEqual(expect.arrayContaining(there as Array<unknown>))
        // The oracle of sameness is JSON with its keys in order.
        expect(saysTheSame(a!, b!)).toBe(inOrder(a) === inOrder(b))
      }),
    )
  })

  const inOrder = (value: unknown): string =>
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    )

  test("are named field by field, into lists", () => {
    const before = count("f", {
      owner: "a",
      formula: { kind: "funnel", steps: [{ event: "x" }, { event: "y" }] },
    })
    const after = count("f", {
      version: 2,
      expect: "same",
      formula: { kind: "funnel", steps: [{ event: "x" }, { event: "z" }, { event: "y" }] },
    })
    expect(differencesOf(before, after)).toEqual([
      { path: "formula.steps[1].event", before: "y", after: "z" },
      { path: "formula.steps[2]", before: undefined, after: { event: "y" } },
      { path: "owner", before: "a", after: undefined },
    ])
  })
})

describe("a plan", () => {
  const ratio: MetricDefinition = {
    name: "per",
    version: 1,
    formula: { kind: "per-user", of: { metric: "clicks", stat: "events" } },
  }
  const applied = appliedOf([count("clicks"), count("views"), count("old"), count("gone"), ratio], { gone: 1 })

  test("says what is added, changed, unaffected, not mentioned, and what is to be built", () => {
    const plan = planChanges(applied, [
      count("fresh"),
      count("clicks", { version: 2, filter: { events: ["click"] } }),
      count("views", { version: 5, owner: "growth", expect: "same" }),
      count("gone", { version: 2 }),
      { ...ratio, version: 2, formula: { kind: "per-user", of: { metric: "views", stat: "events" } } },
    ])
    expect(plan.added).toEqual([{ name: "fresh", version: 1, builds: true }])
    expect(plan.changed).toMatchObject([
      { name: "clicks", from: 1, to: 2, revives: false, expect: "different", builds: true },
      { name: "views", from: 1, to: 5, revives: false, expect: "same", builds: false, fields: [{ path: "owner" }] },
      { name: "gone", from: 1, to: 2, revives: true, fields: [], expect: "same", builds: true },
      { name: "per", from: 1, to: 2, expect: "different", builds: false },
    ])
    expect(plan.unmentioned).toEqual(["old"])
    expect(plan.builds).toEqual([
      { name: "fresh", version: 1 },
      { name: "clicks", version: 2 },
      { name: "gone", version: 2 },
    ])
  })

  test("takes the author's word for what to expect", () => {
    const { changed } = planChanges(applied, [
      count("clicks", { version: 2, filter: { events: ["click"] }, expect: "same" }),
    ])
    expect(changed).toMatchObject([{ expect: "same", builds: true }])
  })

  test("of what the log has is no change at all", () => {
    fc.assert(
      fc.property(arbMetrics, (metrics) => {
        const { added, changed, unaffected, unmentioned, builds } = planChanges(appliedOf(metrics), metrics)
        expect([added, changed, unmentioned, builds]).toEqual([[], [], [], []])
        expect(unaffected).toHaveLength(metrics.length)
      }),
      { numRuns: 20 },
    )
  })
})

describe("what is published", () => {
  const read = (path: string) => readFileSync(new URL(`../../docs/reference/${path}`, import.meta.url), "utf8")

  test("the JSON Schema is that of the definitions (npm run schema)", () => {
    expect(read("metrics.schema.json")).toBe(metricsSchema())
  })

  test("the reference lists the statistics that there are, by formula", () => {
    const rows = [...read("metrics.md").matchAll(/^\| `([a-z-]+)` \| (.*?) \|/gm)].map(([, kind, names]) => ({
      kind,
      names,
    }))
    for (const [kind, statistics] of Object.entries(STATISTICS)) {
      for (const { name } of statistics) {
        expect(
          rows.some((row) => row.kind === kind && row.names!.includes(`\`${name}\``)),
          `${kind} ${name}`,
        ).toBe(true)
      }
    }
  })
})
