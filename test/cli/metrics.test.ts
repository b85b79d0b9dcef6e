import { mkdirSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { expectHarmless, ok, okJson, refusal, refused, scratch, tidemark } from "../support/cli.ts"
import { JOURNEY } from "./journey.ts"

/** Definition files on the command line: what is printed, and with which code it ends. */

const here = scratch()
const LIBRARY = new URL("../../src/index.ts", import.meta.url).href
let store = ""
let files = ""

const signups = (version: number, more = "") =>
  `name: signups\nversion: ${version}\n${more}filter: { events: [sign_up] }\nformula: { kind: active-users }\n`

beforeAll(async () => {
  store = await here.store("metrics")
  await ok(["import", here.write("journey.ndjson", JOURNEY), "--dir", store])
  files = here.path("definitions")
  mkdirSync(files)
  here.write("definitions/signups.yaml", signups(1, "tier: key-result\nparent: signup_rate\n"))
  // Types are stripped by Node itself.
  here.write(
    "definitions/rate.ts",
    `import { defineMetric, type MetricDefinition } from ${JSON.stringify(LIBRARY)}
const users = (metric: string) => ({ metric, stat: "users" })
const rate: MetricDefinition = defineMetric({
  name: "signup_rate",
  version: 1,
  tier: "north-star",
  formula: { kind: "ratio", numerator: users("signups"), denominator: users("active_users") },
})
export default rate
`,
  )
})

afterAll(() => here.remove())

describe("validate", () => {
  test("needs no store, and says that it saw none", async () => {
    const none = here.path("no-store")
    expect(await ok(["metrics", "validate", files, "--dir", none])).toBe(
      `2 definitions without a problem. No store is in ${none}, so they were checked beside the built-in metrics only.\n`,
    )
  })

  test("lists every problem, with exit code 2", async () => {
    const bad = here.write(
      "bad.yaml",
      "metrics:\n  - name: x\n    version: 1\n    formula: { kind: event-cuont }\n  - 3\n",
    )
    const ran = await tidemark(["metrics", "validate", bad, files, "--dir", here.path("no-store"), "--json"])
    expect(refusal(ran, 2)).toBe(
      `${bad}:4, metric x: formula.kind can't be "event-cuont"; did you mean event-count? ${bad}:5: the definition has to be an object, and is 3.`,
    )
    expect(JSON.parse(ran.stdout)).toMatchObject({
      definitions: 2,
      store: false,
      problems: [
        { file: bad, line: 4, metric: "x" },
        { line: 5, metric: null },
      ],
    })
  })

  test("warns of events that were never seen, which --strict refuses", async () => {
    const slip = here.write(
      "slip.yaml",
      "name: x\nversion: 1\nfilter: { events: [singup] }\nformula: { kind: event-count }\n",
    )
    const sentence = `${slip}:3, metric x: filter.events[0]: no event named "singup" is stored; did you mean "sign_up"?`
    expect(await ok(["metrics", "validate", slip, "--dir", store])).toContain(
      `warning: ${sentence}\n1 definition without`,
    )
    expect(await refused(2, ["metrics", "validate", slip, "--strict", "--dir", store])).toBe(sentence)
    expect(await refused(1, ["metrics", "plan", slip, "--strict", "--dir", store])).toContain(sentence)
  })
})

describe("plan, apply and what follows", () => {
  const plan = (...args: ReadonlyArray<string>) => tidemark(["metrics", "plan", ...args, "--dir", store])

  test("changes exit 2 without an error, none exit 0, and requests that can't be answered exit 1", async () => {
    const before = await plan(files)
    expect([before.code, before.stderr]).toEqual([2, ""])
    expect(before.stdout).toBe(
      [
        "+ signup_rate@1, nothing to build",
        "+ signups@1",
        "",
        "2 changes, 1 to build.",
        "Building reads 16 events: about 1 s at 40,000 events/s, a rate that was not measured here.",
        "signups has no rows yet; how many come is not known.",
        "",
      ].join("\n"),
    )
    expect(await okJson(["metrics", "apply", files, "--dir", store])).toMatchObject({
      applied: [{ name: "signup_rate", outcome: "applied" }, { name: "signups" }],
      comparisons: [],
      promoted: [],
      waiting: [],
    })
    const after = await plan(files, "--json")
    expect([after.code, JSON.parse(after.stdout)]).toMatchObject([0, { added: [], changed: [], cost: null }])
    expect(refusal(await plan(here.path("none.yaml")), 1)).toMatch(/can't be read/)
    expect(refusal(await plan("--bogus", files), 1)).toMatch(/bogus/)
  })

  test("a change is shown field by field, with what is expected and what it costs", async () => {
    const next = here.write(
      "next.yaml",
      signups(2, 'owner: "\\e[31mgrowth"\nexpect: same\n').replace("sign_up", "sign_up, signup"),
    )
    const { code, stdout } = await plan(next)
    expect(code).toBe(2)
    expect(stdout).toContain("~ signups@1 → signups@2: same numbers expected\n")
    expect(stdout).toContain('    filter.events[1]: none → "signup"\n')
    expect(stdout).toMatch(/signups@1 has 1 row of facts and \d+ cells, which stay; about as many come\./)
    expect(stdout).toContain("Not in these files, and left as they are: signup_rate.")
    expectHarmless(stdout)
  })

  test("a formula is asked for like any metric", async () => {
    const answer = await okJson(["query", "metric", "signup_rate", "--dir", store])
    expect(answer).toMatchObject({
      metric: "signup_rate",
      uses: [
        { metric: "signups", version: 1 },
        { metric: "active_users", version: 1 },
      ],
      totals: [{ value: "", stat: "ratio", amount: "0.66666666666666666667" }],
    })
    expect(await ok(["query", "metric", "signup_rate", "--dir", store])).toContain("Made of signups@1, active_users@1.")
  })

  test("metrics are listed as a tree, shown as YAML, and have a history", async () => {
    expect(await ok(["metrics", "list", "--dir", store])).toMatch(
      /^signup_rate +1 +north-star +ratio +live\n {2}signups +1 +key-result/m,
    )
    const shown = await ok(["metrics", "show", "signups", "--version", "1", "--dir", store])
    expect(shown).toMatch(/^# live, applied 20.*\nname: signups\nversion: 1\ntier: key-result\n/)
    expect(await ok(["metrics", "show", "sessions", "--dir", store])).toMatch(/^# live, built in\nname: sessions/)
    expect(await refused(2, ["metrics", "show", "signups", "--version", "9", "--dir", store])).toMatch(
      /has no version 9/,
    )
    expect(await ok(["metrics", "history", "signups", "--dir", store])).toMatch(
      /^20\S+Z {2}signups@1, applied by \S+, live\n$/,
    )
  })

  test("retire refuses while something stands on the metric, and ends it otherwise", async () => {
    const args = (name: string) => ["metrics", "retire", name, "--dir", store]
    expect(await refused(2, args("signups"))).toMatch(/formulas use it: signup_rate/)
    expect(await refused(2, args("signup_rate"))).toMatch(/parent of signups/)
    await ok(["metrics", "apply", here.write("free.yaml", signups(2)), "--dir", store])
    expect(await ok(args("signup_rate"))).toBe(
      "signup_rate is retired with version 1; applying version 2 brings it back.\n",
    )
    expect(await okJson(args("signups"))).toMatchObject({ outcome: "retired", version: 2, waiting: null })
    expect(await refused(2, ["query", "metric", "signups", "--dir", store])).toMatch(/retired with version 2/)
    expect(await ok(["metrics", "history", "signups", "--dir", store])).toMatch(
      /signups@1, applied by \S+, retired\n.* signups@2, applied by \S+, retired\n {4}tier: "key-result" → none\n {4}parent: "signup_rate" → none\n.* signups@2, promoted by \S+\n.* signups@2, retired by \S+\n$/,
    )
    expect(await ok(["verify", "--dir", store])).toMatch(/^All /)
  })
})
