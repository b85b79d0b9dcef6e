import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { recordDefinitions } from "../../src/app/control.ts"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { promote, rollBack } from "../../src/app/change/promote.ts"
import { problemText } from "../../src/app/metrics/BadDefinition.ts"
import { planMetrics } from "../../src/app/metrics/planMetrics.ts"
import { retireMetric } from "../../src/app/metrics/retireMetric.ts"
import { validateFilesAlone, validateMetrics } from "../../src/app/metrics/validateMetrics.ts"
import { listMetrics, metricHistory, showMetricVersion } from "../../src/app/metrics/versions.ts"
import { metric } from "../../src/app/query/metric.ts"
import { scratch } from "../support/cli.ts"
import { openStore, type TestStore } from "../support/store.ts"

/** Definition files from reading to retiring, on a store of its own. */

const here = scratch()
let store: TestStore

const T = (day: number) => `2026-05-0${day}T12:00:00Z`
const EVENTS = [
  { event: "visit", userId: "ada", timestamp: T(1) },
  { event: "visit", userId: "bob", timestamp: T(1) },
  { event: "purchase", userId: "ada", timestamp: T(1), properties: { amount: 0.1, currency: "EUR" } },
  { event: "visit", userId: "ada", timestamp: T(2) },
  { event: "purchase", userId: "ada", timestamp: T(2), properties: { amount: 0.2, currency: "EUR" } },
  { event: "feature_used", userId: "cy", timestamp: T(2), properties: { feature_name: "export" } },
  { event: "feature_used", userId: "cy", timestamp: T(2), properties: { feature_name: "export" } },
  { event: "heartbeat", timestamp: T(3) },
  { event: "purchase", timestamp: T(3) },
]

beforeAll(async () => {
  store = await openStore()
  await store.import(
    await store.write(
      "events.ndjson",
      EVENTS.map((event) => JSON.stringify(event)),
    ),
  )
  await store.project()
})

afterAll(async () => {
  await store.close()
  here.remove()
})

const yaml = (name: string, text: string): string => here.write(name, text)
/** Programs in JavaScript: the test runner does not strip types as Node does, which the command line's tests show. */
const module = (name: string, code: string): string => {
  const library = new URL("../../src/index.ts", import.meta.url).href
  return here.write(name, code.replace(`"tidemark"`, JSON.stringify(library)))
}

describe("what can't be a definition is said with file, line and metric", () => {
  const problemsOf = async (...files: ReadonlyArray<string>) => {
    const { problems } = await Effect.runPromise(validateFilesAlone(files))
    return problems.map((problem) => problemText(problem).replaceAll(`${here.path()}/`, ""))
  }

  test.each([
    [
      "an unknown field",
      "name: x\nversion: 1\ncolour: red\nformula: { kind: event-count }",
      [
        "f.yaml:3, metric x: colour is not a field; there are name, version, description, owner, frequency, target, tier, parent, expect, filter, breakdown, renamed, formula.",
      ],
    ],
    [
      "a misspelt field deep down",
      "metrics:\n  - name: signups\n    version: 1\n    formula:\n      kind: funnel\n      steps:\n        - event: a\n        - evnt: b\n",
      [
        "f.yaml:8, metric signups: formula.steps[1].evnt is not a field; did you mean event?",
        "f.yaml:8, metric signups: formula.steps[1].event is missing.",
      ],
    ],
    [
      "an unknown operator",
      "name: x\nversion: 1\nfilter:\n  where:\n    - field: event\n      op: equals\n      value: 1\nformula: { kind: event-count }",
      [
        'f.yaml:6, metric x: filter.where[0].op can\'t be "equals"; there are eq, neq, in, not_in, contains, icontains, starts_with, gt, gte, lt, lte, between, is_set, is_not_set.',
      ],
    ],
    [
      "an unknown kind, and no version",
      "name: x\nformula:\n  kind: funel",
      [
        "f.yaml:1, metric x: version is missing.",
        'f.yaml:3, metric x: formula.kind can\'t be "funel"; did you mean funnel?',
      ],
    ],
    [
      "values of the wrong type",
      "name: X y\nversion: one\ntarget: .nan\nowner: [a]\nformula: count",
      [
        'f.yaml:1, metric X y: name: expected a name of lower-case letters, digits and _, beginning with a letter, at most 63 long, found "X y".',
        'f.yaml:2, metric X y: version has to be a number, and is "one".',
        "f.yaml:4, metric X y: owner has to be text, and is a list.",
        "f.yaml:3, metric X y: target can't be NaN.",
        'f.yaml:5, metric X y: formula has to be an object with a "kind", and is "count".',
      ],
    ],
    [
      "a formula with a filter",
      "name: x\nversion: 1\nbreakdown: event\nformula: { kind: sum, of: [{ metric: sessions, stat: events }] }",
      [
        "f.yaml:1, metric x: the definition: a sum has the filters and breakdowns of the metrics it is made of, none of its own.",
      ],
    ],
    ["no YAML", "metrics:\n  - name: [", [expect.stringMatching(/^f\.yaml:\d: it is not YAML: /)]],
    ["text", "hello", ['f.yaml:1: the definition has to be an object, and is "hello".']],
    ["a list that is none", "metrics: x", [`f.yaml: "metrics" is not a list of definitions.`]],
    ["nothing", "", ["f.yaml:1: the definition has to be an object, and is null."]],
  ] as ReadonlyArray<[string, string, ReadonlyArray<unknown>]>)("%s", async (_, text, expected) => {
    const found = await problemsOf(yaml("f.yaml", text))
    expect(found.toSorted()).toEqual(expected.toSorted())
  })

  test("two metrics of one name, in two files", async () => {
    const text = "# first\nname: twice\nversion: 1\nformula: { kind: event-count }\n"
    expect(await problemsOf(yaml("one.yaml", text), yaml("two.yaml", text))).toEqual([
      "two.yaml:2, metric twice: it is defined more than once, in one.yaml:2 too.",
    ])
  })

  test("a cycle of formulas, and numbers of different grain", async () => {
    const file = yaml(
      "formulas.yaml",
      `metrics:
  - { name: a, version: 1, formula: { kind: sum, of: [{ metric: b, stat: sum }] } }
  - { name: b, version: 1, formula: { kind: sum, of: [{ metric: a, stat: sum }] } }
  - name: c
    version: 1
    formula:
      kind: ratio
      numerator: { metric: feature_adoption, stat: users }
      denominator: { metric: active_users, stat: users }
`,
    )
    expect(await problemsOf(file)).toEqual([
      "formulas.yaml:2, metric a: formula.of[0]: b: the formulas go in a circle: a → b → a.",
      "formulas.yaml:3, metric b: formula.of[0]: a: the formulas go in a circle: b → a → b.",
      expect.stringMatching(
        /^formulas\.yaml:9, metric c: formula\.denominator: users of feature_adoption is per properties\.feature_name/,
      ),
    ])
  })

  test("a program that fails, exports nothing, or is not there", async () => {
    expect(await problemsOf(module("fails.ts", `throw new Error("no luck\\ntoday")`))).toEqual([
      "fails.ts: it can't be imported: no luck",
    ])
    expect(await problemsOf(module("empty.mjs", "export const x = 1"))).toEqual([
      expect.stringMatching(/^empty\.mjs: it has no default export; write `export default defineMetric/),
    ])
    expect(await problemsOf(here.path("none.ts"))).toEqual([expect.stringMatching(/^none\.ts: it can't be read/)])
    const typed = `import { defineMetric } from "tidemark"
export default defineMetric({ name: "x", version: 1, formula: { kind: "event-count", of: 3 } })`
    expect(await problemsOf(module("typed.mjs", typed))).toEqual([
      "typed.mjs, metric x: formula.of is not a field; there are kind.",
    ])
  })

  test("a directory without definitions", async () => {
    mkdirSync(here.path("bare"))
    writeFileSync(here.path("bare", "notes.txt"), "")
    expect(await problemsOf(here.path("bare"))).toEqual([expect.stringMatching(/^bare: it holds no definition files/)])
  })

  test("and what can be is none of it: the example is fine", async () => {
    expect(await problemsOf(join(import.meta.dirname, "../../examples/metrics.ts"))).toEqual([])
  })
})

describe("definitions of a directory", () => {
  let directory = ""

  beforeAll(() => {
    directory = here.path("metrics")
    mkdirSync(directory)
    yaml(
      "metrics/base.yaml",
      `metrics:
  - name: purchases
    version: 1
    tier: key-result
    parent: purchases_per_user
    filter: { events: [purchase] }
    formula: { kind: event-count }
  - name: revenue
    version: 1
    filter: { events: [purchase, refund, identify, heartbeat] }
    formula: { kind: property-sum, property: properties.amount, currency: properties.currency }
`,
    )
    module(
      "metrics/tree.mjs",
      `import { defineMetric } from "tidemark"
const users = { metric: "active_users", stat: "users" }
export default [
  defineMetric({ name: "purchases_per_user", version: 1, tier: "north-star", formula: { kind: "per-user", of: { metric: "purchases", stat: "events" } } }),
  defineMetric({ name: "eur_per_purchase", version: 1, formula: { kind: "ratio", numerator: { metric: "revenue", stat: "sum:EUR" }, denominator: { metric: "purchases", stat: "events" } } }),
  defineMetric({ name: "uses_per_user", version: 1, formula: { kind: "ratio", numerator: { metric: "feature_adoption", stat: "events" }, denominator: { metric: "feature_adoption", stat: "users" } } }),
  defineMetric({ name: "all", version: 1, formula: { kind: "sum", of: [{ metric: "purchases_per_user", stat: "per-user" }, users] } }),
]`,
    )
  })

  test("warn of events that were never seen, and not of what is stored without persons or activity", async () => {
    const { problems, warnings } = await store.run(validateMetrics([directory]))
    expect(problems).toEqual([])
    expect(warnings.map(problemText)).toEqual([
      `${join(directory, "base.yaml")}:10, metric revenue: filter.events[1]: no event named "refund" is stored.`,
    ])
    const slip = yaml("slip.yaml", "name: s\nversion: 1\nfilter: { events: [purchse] }\nformula: { kind: event-count }")
    expect((await store.run(validateMetrics([slip]))).warnings).toMatchObject([
      {
        line: 3,
        metric: "s",
        problem: `filter.events[0]: no event named "purchse" is stored; did you mean "purchase"?`,
      },
    ])
    expect(await store.run(planMetrics([slip]))).toMatchObject({ warnings: [{ line: 3 }], added: [{ name: "s" }] })
    const strict = await store.run(Effect.flip(planMetrics([slip], { strict: true })))
    expect(strict).toMatchObject({ _tag: "BadDefinition", problems: [{ line: 3, metric: "s" }] })
  })

  test("are planned, priced, applied, and planned no more", async () => {
    const plan = await store.run(planMetrics([directory]))
    expect(plan.added.map(({ name }) => name)).toEqual([
      "purchases",
      "revenue",
      "purchases_per_user",
      "eur_per_purchase",
      "uses_per_user",
      "all",
    ])
    expect(plan.cost).toMatchObject({ events: EVENTS.length, rows: [{ replaces: null }, { replaces: null }] })
    const { applied, promoted } = await store.run(applyMetrics(directory))
    expect(applied.map(({ outcome }) => outcome)).toEqual(Array(6).fill("applied"))
    // They were the first of their names, so nothing had to give its place to them.
    expect(promoted).toEqual([])
    expect((await store.project()).built).toEqual([])
    expect(await store.run(planMetrics([directory]))).toMatchObject({ added: [], changed: [], cost: null })
    expect((await store.run(applyMetrics([directory]))).applied[0]).toMatchObject({ outcome: "unchanged" })
  })

  const answer = async (name: string) => {
    const { rows, totals, uses } = await store.run(metric(name))
    return {
      rows: rows.map(({ date, value, amount }) => `${date.slice(-1)}${value}: ${amount}`),
      totals: totals.map(({ value, amount }) => `${value}: ${amount}`),
      uses: uses.map((used) => `${used.metric} v${used.version}`),
    }
  }

  test("are answered from the metrics they are made of, day by day and with distinct persons of the range", async () => {
    // Two persons on the first day, ada and cy on the second, nobody but a server on the third: three in all.
    expect(await answer("purchases_per_user")).toEqual({
      rows: ["1: 0.5", "2: 0.5", "3: null"],
      totals: [": 1"],
      uses: ["purchases v1", "active_users v1"],
    })
    expect(await answer("eur_per_purchase")).toMatchObject({ rows: ["1: 0.1", "2: 0.2", "3: 0"], totals: [": 0.1"] })
    expect(await answer("uses_per_user")).toMatchObject({ rows: ["2export: 2"], totals: ["export: 2"] })
    expect(await answer("all")).toEqual({
      rows: ["1: 2.5", "2: 2.5", "3: null"],
      totals: [": 4"],
      uses: ["purchases_per_user v1", "purchases v1", "active_users v1"],
    })
  })

  test("say what changed, what it costs, and whether something is to be built", async () => {
    const next = yaml(
      "next.yaml",
      `metrics:
  - name: purchases
    version: 2
    description: Purchases
    tier: key-result
    parent: purchases_per_user
    filter: { events: [purchase] }
    formula: { kind: event-count }
  - name: revenue
    version: 2
    filter: { events: [purchase] }
    formula: { kind: property-sum, property: properties.amount, currency: properties.currency }
`,
    )
    const plan = await store.run(planMetrics([next]))
    expect(plan.changed).toMatchObject([
      { name: "purchases", fields: [{ path: "description", after: "Purchases" }], expect: "same", builds: false },
      { name: "revenue", fields: [{ path: "filter.events[1]" }, {}, {}], expect: "different", builds: true },
    ])
    expect(plan.cost?.rows).toEqual([{ metric: "revenue", replaces: { version: 1, facts: 0, cells: 5 } }])
    expect(plan.unmentioned).toEqual(["purchases_per_user", "eur_per_purchase", "uses_per_user", "all"])
  })

  test("that go back or were edited in place are refused with the version to take", async () => {
    const edited = yaml("edited.yaml", "name: revenue\nversion: 1\nformula: { kind: event-count }\n")
    const error = await store.run(Effect.flip(applyMetrics(edited)))
    expect(error.message).toMatch(/edited\.yaml:2, metric revenue: version 1 is in the log .*; give it version 2\./)
    // What it is made of would have no sum any more.
    expect(error.message).toMatch(/metric eur_per_purchase: formula\.numerator: revenue has no statistic sum:EUR/)
    await store.run(recordDefinitions([{ name: "ahead", version: 3, formula: { kind: "event-count" } }]))
    const back = yaml("back.yaml", "name: ahead\nversion: 2\nformula: { kind: event-count }\n")
    const behind = await store.run(Effect.flip(planMetrics([back])))
    expect(behind.message).toMatch(/back\.yaml:2, metric ahead: version 2 goes back.*version 3; give it version 4/)
  })

  test("are listed as a tree with their states, and shown", async () => {
    const listed = (await store.run(listMetrics())).map(
      ({ definition: { name, version }, state, depth }) => `${"-".repeat(depth)}${name} v${version} ${state}`,
    )
    expect(listed.slice(0, 2)).toEqual(["purchases_per_user v1 live", "-purchases v1 live"])
    expect(listed).toContain("ahead v3 new")
    expect(listed).toContain("sessions v1 live")
    expect(await store.run(showMetricVersion("revenue"))).toMatchObject({
      definition: { name: "revenue" },
      state: "live",
      appliedAt: expect.stringMatching(/^20/),
    })
    expect(await store.run(showMetricVersion("sessions"))).toMatchObject({ appliedAt: null })
    expect((await store.run(Effect.flip(showMetricVersion("revenue", 7)))).message).toBe(
      "revenue has no version 7. It has 1.",
    )
    expect((await store.run(Effect.flip(metricHistory("revenu")))).message).toMatch(/Did you mean "revenue"\?/)
  })

  test("are not retired while others stand on them", async () => {
    const refused = async (name: string) => (await store.run(Effect.flip(retireMetric(name)))).message
    expect(await refused("revenue")).toMatch(/formulas use it: eur_per_purchase\./)
    expect(await refused("purchases")).toMatch(/formulas use it: purchases_per_user, eur_per_purchase\./)
    expect(await refused("sessions")).toMatch(/built in/)
    expect(await refused("revenu")).toMatch(/Did you mean "revenue"\?/)
    await store.run(retireMetric("all"))
    expect(await refused("purchases_per_user")).toMatch(/parent of purchases\./)
  })

  test("are answered no more once they are retired, and again with a greater version", async () => {
    expect(await store.run(retireMetric("eur_per_purchase"))).toMatchObject({ version: 1, outcome: "retired" })
    expect(await store.run(retireMetric("revenue"))).toMatchObject({ version: 1, outcome: "retired" })
    expect(await store.run(retireMetric("revenue"))).toMatchObject({ outcome: "unchanged" })
    await store.project()
    expect((await store.run(Effect.flip(metric("revenue")))).message).toMatch(/revenue was retired with version 1\./)
    expect((await store.run(Effect.flip(metric("eur_per_purchase")))).message).toMatch(/was retired with version 1/)
    const text = (version: number) =>
      `name: revenue\nversion: ${version}\nfilter: { events: [purchase] }\nformula: { kind: property-sum, property: properties.amount }\n`
    const back = yaml("revived.yaml", text(2))
    expect(await store.run(planMetrics([back]))).toMatchObject({ changed: [{ revives: true, builds: true }] })
    await store.run(applyMetrics(back))
    expect(await answer("revenue")).toMatchObject({ totals: [": 2", ": 0.3", ": 1"], uses: [] })
    const history = await store.run(metricHistory("revenue"))
    expect(history.map(({ what, version, state }) => [what, version, state])).toEqual([
      ["applied", 1, "retired"],
      ["retired", 1, "retired"],
      ["applied", 2, "live"],
    ])
    expect(history[2]!.fields.map(({ path }) => path)).toContain("formula.currency")
  })

  test("that become formulas give up their cells' place, and take it again", async () => {
    const formula = "{ kind: sum, of: [{ metric: sessions, stat: events }] }"
    await store.run(applyMetrics(yaml("turned.yaml", `name: ahead\nversion: 4\nformula: ${formula}\n`)))
    expect(await answer("ahead")).toMatchObject({ totals: [": 7"], uses: ["sessions v1"] })
    await store.run(applyMetrics(yaml("turned.yaml", "name: ahead\nversion: 5\nformula: { kind: event-count }\n")))
    expect(await answer("ahead")).toMatchObject({ totals: [": 9"], uses: [] })
  })

  test("can be asked for by version, what was replaced too", async () => {
    const next = (version: number, event: string) =>
      yaml(
        "twice.yaml",
        `name: twice\nversion: ${version}\nfilter: { events: [${event}] }\nformula: { kind: event-count }\n`,
      )
    await store.run(applyMetrics(next(1, "purchase")))
    await store.run(applyMetrics(next(2, "feature_used")))
    const [all, first, now] = await Promise.all(["twice", "twice@1", "twice@2"].map(answer))
    expect(all).toEqual(now)
    expect(first!.totals).not.toEqual(now!.totals)
    const error = await store.run(Effect.flip(metric("twice@3")))
    expect(error.message).toBe("There is no twice@3 to ask for here. There are: twice@1, twice@2.")
    await store.run(rollBack("twice"))
    expect(await answer("twice")).toEqual(first)
  })

  test("that are formulas are promoted and gone back from as the log has them, and cells come back when they are asked for", async () => {
    const file = (version: number, formula: string) =>
      yaml("kinds.yaml", `name: kinds\nversion: ${version}\nformula: ${formula}\n`)
    const sum = (stat: string) =>
      `{ kind: sum, of: [{ metric: twice, stat: ${stat} }, { metric: twice, stat: ${stat} }] }`
    await store.run(applyMetrics(file(1, "{ kind: event-count }")))
    const counted = await answer("kinds")
    await store.run(applyMetrics(file(2, sum("events"))))
    const summed = await answer("kinds")
    expect(summed).not.toEqual(counted)
    await store.run(
      applyMetrics(
        file(
          3,
          `{ kind: ratio, numerator: { metric: twice, stat: events }, denominator: { metric: twice, stat: events } }`,
        ),
        { promote: false },
      ),
    )
    expect(await answer("kinds")).toEqual(summed)
    expect(await store.run(promote("kinds"))).toEqual({ live: "kinds@3", replaced: "kinds@2", comparison: null })
    expect((await answer("kinds")).totals).toEqual([": 1"])
    expect(await store.run(rollBack("kinds"))).toMatchObject({ live: "kinds@2", replaced: "kinds@3" })
    expect(await answer("kinds")).toEqual(summed)
    expect(await store.run(rollBack("kinds@1"))).toMatchObject({ live: "kinds@1", replaced: "kinds@2" })
    expect(await answer("kinds")).toEqual(counted)
  })

  test("that wait or were gone back from are no lack of change, and answers stand on the facts that chose them", async () => {
    const next = yaml("twice.yaml", "name: twice\nversion: 3\nformula: { kind: event-count }\n")
    await store.run(applyMetrics(next, { promote: false }))
    expect(await store.run(planMetrics([next]))).toMatchObject({ waiting: [{ name: "twice", version: 3, live: 1 }] })
    const cut = async () => (await store.run(metric("twice"))).asOf.cut
    const before = await cut()
    await store.run(promote("twice"))
    const promoted = await cut()
    expect(promoted).not.toBe(before)
    expect(await store.run(planMetrics([next]))).toMatchObject({
      waiting: [],
      passedOver: [],
      unaffected: [{ version: 3 }],
    })
    await store.run(rollBack("twice"))
    expect([before, promoted]).not.toContain(await cut())
    expect(await store.run(planMetrics([next]))).toMatchObject({ waiting: [], passedOver: [{ version: 3, live: 1 }] })
    expect((await store.run(applyMetrics(next))).promoted).toEqual([])
  })

  test("are compared as the log will have them", async () => {
    const odd = yaml("odd.yaml", "name: odd\nversion: 1\ntarget: -0\nformula: { kind: event-count }\n")
    expect((await store.run(applyMetrics(odd))).applied).toMatchObject([{ outcome: "applied" }])
    expect((await store.run(applyMetrics(odd))).applied).toMatchObject([{ outcome: "unchanged" }])
    const dated = yaml("dated.yaml", "name: dated\nversion: 202611250401\nformula: { kind: event-count }\n")
    expect((await store.run(Effect.flip(applyMetrics(dated)))).message).toMatch(/dated\.yaml:2, metric dated: version/)
  })
})
