import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { expectHarmless, ok, okJson, refused, scratch, type Scratch } from "../support/cli.ts"

/** What no event, no file and no question should look like. Each gets a sentence or a place in the quarantine. */

const here: Scratch = scratch()

afterAll(() => here.remove())

describe("lines", () => {
  let store = ""
  let report: any
  let quarantined: ReadonlyArray<{ source: string; line: number; reason: string; detail: string }> = []
  let rows: ReadonlyArray<{ date: string; event: string; events: number; users: number }> = []
  let status: any

  const T = "2026-01-01T10:00:00Z"
  /** One per test below; their numbers are the lines of the file. */
  const LINES = [
    { event: "good", userId: "ada", timestamp: T },
    "not json at all {",
    '[{"event":"good","userId":"ada"}]',
    { userId: "ada", timestamp: T },
    { event: "nobodys", timestamp: T },
    { event: "empty_ids", userId: "", anonymousId: " \t", timestamp: T },
    { event: "no_time", userId: "ada" },
    { event: "bad_time", userId: "ada", timestamp: "the day before yesterday" },
    { event: "bad_time", userId: "ada", timestamp: { at: T } },
    { event: "epoch", userId: "ada", timestamp: "1970-01-01T00:00:00Z" },
    { event: "negative", userId: "ada", timestamp: -86_400_000_000 },
    { event: "year_2100", userId: "ada", timestamp: "2100-01-01T00:00:00Z" },
    { event: "kiribati", userId: "ada", timestamp: "2026-01-02T05:00:00+14:00" },
    { event: "bad_time", userId: "ada", timestamp: "2020-02-30" },
    { event: "odd_properties", userId: "ada", timestamp: T, properties: "none" },
    { event: "odd_properties", userId: "bob", timestamp: T, properties: [1, 2] },
    { event: "huge", userId: "ada", timestamp: T, properties: { text: "x".repeat(2 * 1024 * 1024) } },
    { id: "twice", event: "twice", userId: "ada", timestamp: T, properties: { n: 1 } },
    { id: "twice", event: "twice", userId: "ada", timestamp: T, properties: { n: 2 } },
    { event: "after_all", userId: "ada", timestamp: T },
  ]

  const lineOf = (line: number) => quarantined.find((it) => it.source.endsWith("lines.ndjson") && it.line === line)
  const counted = (event: string) =>
    rows.filter((row) => row.event === event).map((row) => `${row.date} ${row.events} events ${row.users} users`)

  beforeAll(async () => {
    store = await here.store("lines")
    const lines = here.write("lines.ndjson", LINES)
    const cut = here.write(
      "cut.ndjson",
      `${JSON.stringify({ event: "before_cut", userId: "ada", timestamp: T })}\n{"event":"cut`,
    )
    report = await okJson(["import", lines, cut, "--dir", store])
    // "ComodRivadavia" is an old name of Catamarca, three hours behind UTC.
    const local = here.write("local.ndjson", [{ event: "local", userId: "ada", timestamp: "2026-01-01 22:30" }])
    const zone = ["--time-zone", "America/Argentina/ComodRivadavia"]
    expect(await okJson(["import", local, ...zone, "--dir", store])).toMatchObject({ accepted: 1, rejected: 0 })
    quarantined = (await okJson(["quarantine", "list", "--dir", store])).lines
    rows = (await okJson(["query", "events", "--dir", store])).rows
    status = await okJson(["status", "--dir", store])
  })

  test("good lines count, whatever stands between them", () => {
    expect(report).toMatchObject({ read: 22, accepted: 11, rejected: 11, duplicates: 1, conflicts: 1, failures: [] })
    expect(quarantined).toHaveLength(11)
    expect(counted("good")).toEqual(["2026-01-01 1 events 1 users"])
    expect(counted("after_all")).toEqual(["2026-01-01 1 events 1 users"])
  })

  test("not JSON", () => {
    expect(lineOf(2)).toMatchObject({ reason: "not-json", detail: expect.stringMatching(/^The line is not JSON/) })
  })

  test("a JSON array where a line was expected", () => {
    expect(lineOf(3)).toMatchObject({ reason: "not-an-object", detail: expect.stringContaining("found an array") })
  })

  test("no event name", () => {
    expect(lineOf(4)).toMatchObject({ reason: "name-missing" })
  })

  test("no id: an event, and nobody's", () => {
    expect(counted("nobodys")).toEqual(["2026-01-01 1 events 0 users"])
    expect(status.partitions[0].personless).toBe(2)
  })

  test("empty ids are none", () => {
    expect(counted("empty_ids")).toEqual(["2026-01-01 1 events 0 users"])
  })

  test("no time", () => {
    expect(lineOf(7)).toMatchObject({ reason: "time-missing" })
  })

  test("not a time", () => {
    expect(lineOf(8)).toMatchObject({ reason: "time-unreadable" })
    expect(lineOf(9)).toMatchObject({ reason: "time-unreadable" })
  })

  test("the first moment of 1970 is a time like any other", () => {
    expect(counted("epoch")).toEqual(["1970-01-01 1 events 1 users"])
  })

  test("a time before 1970", () => {
    expect(lineOf(11)).toMatchObject({ reason: "time-before-1970" })
  })

  test("a time in 2100", () => {
    expect(lineOf(12)).toMatchObject({ reason: "time-in-future" })
  })

  test("an offset of fourteen hours", () => {
    expect(counted("kiribati")).toEqual(["2026-01-01 1 events 1 users"])
  })

  test("no offset, in a zone that hardly anybody knows", () => {
    expect(counted("local")).toEqual(["2026-01-02 1 events 1 users"])
  })

  test("a day that no calendar has", () => {
    expect(lineOf(14)).toMatchObject({ reason: "time-unreadable" })
  })

  test("properties that are no object", () => {
    expect(counted("odd_properties")).toEqual(["2026-01-01 2 events 2 users"])
  })

  test("an event of two megabytes", () => {
    expect(lineOf(17)).toMatchObject({ reason: "too-large", detail: expect.stringMatching(/2097\d{3} bytes.*524288/) })
  })

  test("one id, two contents: the first counts, and the status says so", () => {
    expect(counted("twice")).toEqual(["2026-01-01 1 events 1 users"])
    expect(status.partitions[0]).toMatchObject({ duplicates: 1, conflicts: 1 })
  })

  test("a file that ends in the middle of a line", () => {
    expect(counted("before_cut")).toEqual(["2026-01-01 1 events 1 users"])
    expect(quarantined.find(({ source }) => source.endsWith("cut.ndjson"))).toMatchObject({
      line: 2,
      reason: "line-incomplete",
    })
  })

  describe("questions", () => {
    const no = async (pattern: RegExp, ...args: ReadonlyArray<string>) =>
      expect(await refused(2, [...args, "--dir", store, "--json"])).toMatch(pattern)

    test("an unknown metric: the nearest is named", () =>
      no(/no metric "feature_adoptoin".*Did you mean "feature_adoption"\?/, "query", "metric", "feature_adoptoin"))

    test("a funnel that nobody applied", () => no(/no metric "signup"/, "query", "funnel", "signup"))

    test("a metric of another kind", () =>
      no(
        /^active_users is no funnel, but of kind active-users\. "tidemark query metric active_users" gives its numbers\.$/,
        "query",
        "funnel",
        "active_users",
      ))

    test("a funnel of one step", () => no(/2 to 50 steps, found 1\b/, "query", "funnel", "--steps", "good"))

    test("a funnel of 50 steps works, of 51 not", async () => {
      const names = ["good", "after_all", ...Array.from({ length: 48 }, (_, n) => `step_${n}`)]
      const answer = await okJson(["query", "funnel", "--steps", names.join(","), "--dir", store])
      expect(answer.steps).toHaveLength(50)
      // Both at the same instant: the order that converts is taken.
      expect(answer.steps.map(({ users }: { users: number }) => users).slice(0, 3)).toEqual([1, 1, 0])
      await no(/2 to 50 steps, found 51\b/, "query", "funnel", "--steps", [...names, "more"].join(","))
    })

    test("a funnel of unknown events: nobody, and a note", async () => {
      const answer = await okJson(["query", "funnel", "--steps", "nope,good", "--dir", store])
      expect(answer.steps.map(({ users }: { users: number }) => users)).toEqual([0, 0])
      expect(answer.steps[0]).toMatchObject({ conversionRate: null, dropOff: null, fromPrevious: null })
      expect(answer.overallConversionRate).toBeNull()
      expect(answer.warnings).toEqual(['No activity named "nope" is stored.'])
    })

    test("a range backwards", () =>
      no(
        /runs backwards: from 2026-02-01 to 2026-01-01/,
        "query",
        "events",
        "--from",
        "2026-02-01",
        "--to",
        "2026-01-01",
      ))

    test("a day that is none", () =>
      no(/"2026-02-30" is not a day.*YYYY-MM-DD/, "query", "user", "ada", "--to", "2026-02-30"))

    test("an interval that is none", () =>
      no(/rolling-N with N from 1 to 90/, "query", "active-users", "--interval", "rolling-91"))

    test("a gap that is none", () => no(/--gap .*30m/, "query", "sessions", "--gap", "half an hour"))

    test("a user whom nobody knows", () => no(/No event names .*"Ada"/, "query", "user", "Ada"))

    test("a negative limit", () => no(/--limit must be 0 or more/, "quarantine", "list", "--limit", "-1"))

    test("a time zone that is none", () =>
      no(/"Mars\/Olympus" is no IANA time zone/, "settings", "--time-zone", "Mars/Olympus"))

    test("a CSV file in which no column says what an event is", async () => {
      const file = here.write("columns.csv", "wann,wer,was\n2026-01-01,ada,good\n")
      await no(/no column is known that names the events.*wann, wer, was.*--event NAME/, "import", file)
    })

    test("a map of columns that the CSV file does not have", async () => {
      const map = "time=wan,user=wer,event=was"
      await no(/no such column: time=wan \(did you mean wann\?\)/, "import", here.path("columns.csv"), "--map", map)
    })

    test("a definition that is no YAML", async () => {
      const file = here.write("broken.yaml", "metrics:\n  - name: [")
      await no(
        /^Nothing of .*broken\.yaml can be applied: .*broken\.yaml:\d+: it is not YAML/,
        "metrics",
        "apply",
        file,
      )
    })

    test("a definition whose YAML aliases multiply without end", async () => {
      const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join()}]`)
      const file = here.write("bomb.yaml", ["l0: &l0 x", ...levels].join("\n"))
      await no(/^Nothing of .*bomb\.yaml can be applied: .*: its aliases can't be followed/, "metrics", "apply", file)
    })

    test("a definition with a field that there is not", async () => {
      const file = here.write("odd.yaml", "name: x\nversion: 1\ncolour: red\nformula: { kind: event-count }\n")
      await no(/odd\.yaml:3, metric x: colour is not a field/, "metrics", "apply", file)
    })
  })
})

describe("hostile text", () => {
  const TEXTS = [
    "nul\u0000byte",
    "lone\ud800surrogate",
    "\u001b[31mred\u001b[0m\u001b]0;title\u0007",
    "\u009b31mC1",
    "line\nbreak\r\ttab",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "\u202egnissim\u2066",
    "'; drop table cells; --",
    "%s %d %n $1 ${x} {{x}}",
    "a|b|c",
    "back\\slash \\0 \\ud800",
    "long ".repeat(2000),
  ]
  /** What was too long for a cell keeps its beginning and a digest. */
  const LONG = /^(?:long ){48}…[0-9a-f]{12}$/

  let store = ""

  beforeAll(async () => {
    store = await here.store("hostile")
    const lines = TEXTS.flatMap((text, n) => {
      const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 10, n, second)).toISOString()
      const who = { userId: text, anonymousId: text, sessionId: text }
      return [
        { id: `${text}1`, event: text, ...who, timestamp: at(0), properties: { [text]: text }, [text]: text },
        { id: `${text}2`, event: "feature_used", ...who, timestamp: at(1), properties: { feature_name: text } },
        { id: `${text}3`, type: "page", ...who, timestamp: at(2), properties: { path: text } },
      ]
    })
    const file = here.write("\u001b[31mhostile.ndjson", [...lines, "\u001b[31mnot json\u001b[0m"])
    const report = await okJson(["import", file, "--dir", store])
    expect(report).toMatchObject({ read: 43, accepted: 42, duplicates: 0, conflicts: 0, rejected: 1 })
  })

  test("every text comes out as it went in, one for each", async () => {
    const { features } = await okJson(["query", "adoption", "--dir", store])
    const names: ReadonlyArray<string> = features.map(({ featureName }: { featureName: string }) => featureName)
    expect(names.filter((name) => !LONG.test(name)).toSorted()).toEqual(TEXTS.slice(0, -1).toSorted())
    expect(names).toHaveLength(TEXTS.length)
    // An id of 10 kB is refused, so nobody used the last one.
    for (const { featureName, uniqueUsers, usageCount } of features) {
      expect([featureName, uniqueUsers, usageCount]).toEqual([featureName, LONG.test(featureName) ? 0 : 1, 1])
    }
  })

  test("a long name is found by all of it", async () => {
    const { total, event } = await okJson(["query", "active-users", "--event", TEXTS.at(-1)!, "--dir", store])
    expect(event).toBe(TEXTS.at(-1))
    expect(total).toEqual({ users: 0, events: 1 })
  })

  test("a person of a hostile id is one person", async () => {
    const answer = await okJson(["query", "user", "__proto__", "--dir", store])
    expect(answer).toMatchObject({ userId: "__proto__", totalEvents: 3, sessionCount: 1, pageViews: 1 })
    expect(answer.distinctIds.toSorted()).toEqual(["a:__proto__", "u:__proto__"])
    expect(Object.entries(answer.featureUsage)).toEqual([["__proto__", 1]])
  })

  test("nothing of it reaches a terminal raw", async () => {
    for (const args of [
      ["query", "events"],
      ["query", "sessions"],
      ["quarantine", "list"],
    ]) {
      expectHarmless(await ok([...args, "--dir", store]))
    }
    expect(await refused(2, ["query", "user", TEXTS[2]!.slice(1), "--dir", store])).toContain("No event names")
    expect(await refused(2, ["query", "metric", TEXTS[3]!, "--dir", store])).toContain("\\x9b31mC1")
  })

  test("and every cell is what the oracle says", async () => {
    expect((await okJson(["verify", "--dir", store])).differences).toEqual([])
  })
})
