import { PGlite } from "@electric-sql/pglite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { expectHarmless, ok, okJson, refusal, refused, scratch, tidemark } from "../support/cli.ts"
import { JOURNEY, METRICS } from "./journey.ts"

/** From a file of events to every number, through the program; the tests of this file go on where the last one ended. */

/** The way from one end to the other is gone by processes of their own, as users go it; what else is asked on it is not. */
const fresh = { fresh: true }

const here = scratch()
let store = ""
const at = (...args: ReadonlyArray<string>) => [...args, "--dir", store]

const ALL_DAYS = ["02", "03", "04", "05", "06", "07", "08", "09"].map((day) => `2026-03-${day}`)

const FRAME = {
  version: 1,
  timeZone: "UTC",
  from: "2026-03-02",
  to: "2026-03-09",
  quality: { late: 1 / 15, duplicate: 1 / 16 },
}

const row = (date: string, users: number, events: number) => ({ date, users, events })

/** Answers before the rebuild, to be compared with those after it. */
const before = new Map<string, any>()

const QUESTIONS: Readonly<Record<string, ReadonlyArray<string>>> = {
  activeUsers: ["query", "active-users"],
  adoption: ["query", "adoption"],
  sessions: ["query", "sessions"],
  funnel: ["query", "funnel", "to_purchase"],
}

const ask = async (name: string) => {
  const answer = await okJson(at(...QUESTIONS[name]!))
  before.set(name, answer)
  return answer
}

beforeAll(async () => {
  store = await here.store("journey")
})

afterAll(() => here.remove())

const NOTHING_PROJECTED =
  'Nothing is projected yet, or an upgrade has emptied the read model. "tidemark project --once" projects what is in the log; workers do it by themselves.'

describe("import and project", () => {
  test("--no-project leaves the numbers for later, and says so", async () => {
    const file = here.write("journey.ndjson", JOURNEY)
    const report = await ok(at("import", file, "--no-project"), fresh)
    expect(report).toMatch(/^read +16$/m)
    expect(report).toMatch(/^accepted +16$/m)
    expect(report).toMatch(/^duplicates +known after "tidemark project"$/m)
    expect(report).toMatch(/^rejected +0$/m)
    expect(report).toMatch(/events\/s/)
  })

  test("a question before the first projection says what to do", async () => {
    expect(await refused(2, at("query", "active-users", "--json"))).toBe(NOTHING_PROJECTED)
    expect(await refused(2, at("verify"))).toBe(NOTHING_PROJECTED)
  })

  test("project --once folds what is in the log", async () => {
    expect(await okJson(at("project", "--once"), fresh)).toEqual({
      events: 16,
      duplicates: 1,
      conflicts: 0,
      built: [],
      rebuilt: false,
    })
  })
})

describe("the numbers", () => {
  test("active users per day", async () => {
    const answer = await ask("activeUsers")
    expect(answer).toEqual({
      ...FRAME,
      metric: "active_users",
      asOf: {
        positions: [expect.objectContaining({ partition: 0, sequence: 1 })],
        cut: expect.stringMatching(/^0:1,c:0@[0-9a-f]{8}$/),
        instant: expect.any(String),
      },
      revisedAt: null,
      revisionCause: null,
      interval: "day",
      event: null,
      rows: [
        row("2026-03-02", 2, 5),
        row("2026-03-03", 2, 3),
        row("2026-03-04", 2, 4),
        ...ALL_DAYS.slice(3, 7).map((day) => row(day, 0, 0)),
        row("2026-03-09", 1, 1),
      ],
      total: { users: 3, events: 13 },
    })
    expect(new Date(answer.asOf.instant).toISOString()).toBe(answer.asOf.instant)
  })

  test("active users of a rolling window", async () => {
    const answer = await okJson(at("query", "active-users", "--interval", "rolling-2"), fresh)
    expect(answer.rows).toEqual([
      row("2026-03-02", 2, 5),
      row("2026-03-03", 2, 8),
      row("2026-03-04", 3, 7),
      row("2026-03-05", 2, 4),
      ...ALL_DAYS.slice(4, 7).map((day) => row(day, 0, 0)),
      row("2026-03-09", 1, 1),
    ])
    expect(answer.total).toEqual({ users: 3, events: 13 })
  })

  test("active users of one event per week, clipped to a range", async () => {
    const question = ["--interval", "week", "--event", "page_view", "--from", "2026-03-03"]
    const answer = await okJson(at("query", "active-users", ...question))
    expect(answer).toMatchObject({ metric: "active_users_by_event", event: "page_view", interval: "week" })
    expect(answer).toMatchObject({ from: "2026-03-03", to: "2026-03-09" })
    expect(answer.rows).toEqual([row("2026-03-02", 2, 2), row("2026-03-09", 1, 1)])
    expect(answer.total).toEqual({ users: 2, events: 3 })
  })

  test("an event that nobody sent is said to be none", async () => {
    expect(await ok(at("query", "active-users", "--event", "page_vew"))).toContain(
      'No activity "page_vew" is stored in this range; "tidemark query events" lists what is.',
    )
    expect(await ok(at("query", "events", "--event", "page_vew"))).toContain("None are stored in this range.")
  })

  test("adoption", async () => {
    const answer = await ask("adoption")
    expect(answer).toMatchObject({ ...FRAME, metric: "feature_adoption" })
    expect(answer.features).toEqual([
      {
        featureName: "export",
        uniqueUsers: 2,
        totalUsers: 3,
        adoptionRate: 2 / 3,
        usageCount: 3,
        dailyUsage: [
          { date: "2026-03-02", users: 1, uses: 1 },
          { date: "2026-03-04", users: 1, uses: 2 },
        ],
      },
      {
        featureName: "search",
        uniqueUsers: 1,
        totalUsers: 3,
        adoptionRate: 1 / 3,
        usageCount: 1,
        dailyUsage: [{ date: "2026-03-02", users: 1, uses: 1 }],
      },
    ])
  })

  test("a funnel of event names", async () => {
    const steps = ["--steps", "page_view,sign_up,purchase"]
    const answer = await okJson(at("query", "funnel", ...steps))
    expect(answer).toMatchObject({ ...FRAME, funnel: "ad hoc", warnings: [] })
    expect(answer.steps).toEqual([
      { step: 1, name: "page_view", users: 3, conversionRate: 1, dropOff: 0, fromPrevious: null },
      {
        step: 2,
        name: "sign_up",
        users: 2,
        conversionRate: 2 / 3,
        dropOff: 1 - 2 / 3,
        fromPrevious: { medianSeconds: 17_250, averageSeconds: 17_250 },
      },
      {
        step: 3,
        name: "purchase",
        users: 1,
        conversionRate: 1 / 2,
        dropOff: 1 / 2,
        fromPrevious: { medianSeconds: 80_700, averageSeconds: 80_700 },
      },
    ])
    expect(answer.overallConversionRate).toBe(1 / 3)
  })

  test("sessions", async () => {
    const answer = await ask("sessions")
    const none = { averageSeconds: null, medianSeconds: null, bounceRate: null, eventsPerSession: null }
    expect(answer).toMatchObject({ ...FRAME, metric: "sessions", gap: "30m" })
    expect(answer.rows).toEqual([
      {
        date: "2026-03-02",
        sessions: 3,
        users: 2,
        events: 5,
        averageSeconds: 200,
        medianSeconds: 0,
        bounceRate: 2 / 3,
        eventsPerSession: 5 / 3,
      },
      // A pause of exactly half an hour does not cut.
      {
        date: "2026-03-03",
        sessions: 2,
        users: 2,
        events: 3,
        averageSeconds: 900,
        medianSeconds: 900,
        bounceRate: 1 / 2,
        eventsPerSession: 3 / 2,
      },
      {
        date: "2026-03-04",
        sessions: 2,
        users: 2,
        events: 3,
        averageSeconds: 5,
        medianSeconds: 5,
        bounceRate: 1 / 2,
        eventsPerSession: 3 / 2,
      },
      ...ALL_DAYS.slice(3, 7).map((date) => ({ date, sessions: 0, users: 0, events: 0, ...none })),
      {
        date: "2026-03-09",
        sessions: 1,
        users: 1,
        events: 1,
        averageSeconds: 0,
        medianSeconds: 0,
        bounceRate: 1,
        eventsPerSession: 1,
      },
    ])
    expect(answer.total).toEqual({
      sessions: 8,
      events: 12,
      averageSeconds: 301.25,
      medianSeconds: 0,
      bounceRate: 5 / 8,
      eventsPerSession: 3 / 2,
    })
    const pages = [
      { page: "/home", sessions: 4 },
      { page: "/pricing", sessions: 1 },
    ]
    expect(answer.entryPages).toEqual(pages)
    expect(answer.exitPages).toEqual(pages)
  })

  test("events", async () => {
    const answer = await okJson(at("query", "events"))
    expect(answer).toMatchObject({ ...FRAME, metric: "active_users_by_event" })
    expect(answer.totals).toEqual([
      { event: "page_view", events: 5, users: 3 },
      { event: "feature_used", events: 4, users: 2 },
      { event: "sign_up", events: 2, users: 2 },
      { event: "heartbeat", events: 1, users: 0 },
      { event: "purchase", events: 1, users: 1 },
    ])
    expect(answer.rows.filter(({ event }: { event: string }) => event === "page_view")).toEqual([
      { date: "2026-03-02", event: "page_view", events: 2, users: 2 },
      { date: "2026-03-03", event: "page_view", events: 1, users: 1 },
      { date: "2026-03-04", event: "page_view", events: 1, users: 1 },
      { date: "2026-03-09", event: "page_view", events: 1, users: 1 },
    ])
  })

  test("one user, with the devices", async () => {
    const answer = await okJson(at("query", "user", "ada"))
    expect({ ...answer, distinctIds: answer.distinctIds.toSorted() }).toMatchObject({
      userId: "ada",
      distinctIds: ["a:d1", "a:d2", "u:ada"],
      totalEvents: 6,
      uniqueDays: 2,
      sessionCount: 3,
      featureUsage: { export: 1, search: 1 },
      pageViews: 2,
      clicks: 0,
      purchases: 1,
      firstSeen: "2026-03-02T10:00:00.000Z",
      lastSeen: "2026-03-03T08:30:00.000Z",
    })
  })
})

describe("as people read them", () => {
  test("active users: a table, a chart, the totals, the shares", async () => {
    const text = await ok(at("query", "active-users"))
    expect(text).toContain("Active users per day, 2026-03-02 to 2026-03-09 (active_users@1, days of UTC)")
    expect(text).toMatch(/^2026-03-02 +2 +5$/m)
    expect(text).toMatch(/^2026-03-05 +0 +0$/m)
    expect(text).toContain("███    ▅")
    expect(text).toContain("3 distinct persons, 13 events.")
    expect(text).toContain("6.7 % of the events came late, 6.3 % were repeats.")
    expectHarmless(text)
  })

  test("adoption: a bar for each feature", async () => {
    const text = await ok(at("query", "adoption"))
    expect(text).toMatch(/^export +2 +66\.7 % +3 +█{20}$/m)
    expect(text).toMatch(/^search +1 +33\.3 % +1 +█{10}$/m)
    expect(text).toContain("3 persons were active.")
  })

  test("a funnel with a window and a range of entries: a bar for each step, and times", async () => {
    const question = ["--steps", "page_view, sign_up ,purchase", "--window", "1h", "--order", "ordered"]
    const text = await ok(at("query", "funnel", ...question, "--to", "2026-03-02"))
    expect(text).toMatch(/^1 +page_view +2 +100\.0 % +– +– +█{30}$/m)
    expect(text).toMatch(/^2 +sign_up +1 +50\.0 % +5\.0 min +5\.0 min +█{15}$/m)
    expect(text).toMatch(/^3 +purchase +0 +0\.0 % +– +–$/m)
    expect(text).toContain("0.0 % of those who entered got to the end.")
  })

  test("sessions with another gap: a chart and the pages", async () => {
    const text = await ok(at("query", "sessions", "--gap", "2h"))
    expect(text).toContain("Sessions (gap 2h)")
    expect(text).toMatch(/^2026-03-02 +2 +2 +45\.0 min +45\.0 min +50\.0 % +2\.50$/m)
    expect(text).toMatch(/^2026-03-03 +2 +2 +15\.0 min +15\.0 min +50\.0 % +1\.50$/m)
    expect(text).toContain("███    ▅")
    expect(text).toContain("7 sessions, 17.2 min on average, 57.1 % bounced.")
    expect(text).toContain("Entered at /home (4), /pricing (1).")
  })

  test("a user, found by a device", async () => {
    const text = await ok(at("query", "user", "d1"))
    expect(text).toContain("6 on 2 days, in 3 sessions")
    expect(text).toContain("2 page views, 0 clicks, 1 purchase")
  })
})

describe("metrics", () => {
  test("apply takes effect over all of history", async () => {
    const file = here.write("metrics.yaml", METRICS)
    expect(await okJson(at("metrics", "apply", file))).toEqual({
      applied: [
        { name: "to_purchase", version: 1, outcome: "applied" },
        { name: "revenue", version: 1, outcome: "applied" },
      ],
      comparisons: [],
      promoted: [],
      waiting: [],
      standstill: null,
    })
    const answer = await ask("funnel")
    expect(answer).toMatchObject({ ...FRAME, metric: "to_purchase", funnel: "to_purchase" })
    expect(answer.steps.map(({ name, users }: any) => [name, users])).toEqual([
      ["page_view", 3],
      ["Signed up", 2],
      ["purchase", 1],
    ])
  })

  test("applied again it is unchanged", async () => {
    const text = await ok(at("metrics", "apply", here.path("metrics.yaml")))
    expect(text).toBe("to_purchase@1: unchanged\nrevenue@1: unchanged\n")
  })

  test("a change without a new version is refused, whole", async () => {
    const file = here.write(
      "changed.yaml",
      METRICS.replace("event: sign_up", "event: sign_in").replace("revenue", "r2"),
    )
    expect(await refused(2, at("metrics", "apply", file, "--json"))).toMatch(
      /metric to_purchase: version 1 .*give it version 2/,
    )
  })

  test("list shows all, with what was applied and no more", async () => {
    const { metrics } = await okJson(at("metrics", "list"))
    expect(metrics.map(({ name, version, state }: any) => `${name} ${version} ${state}`)).toEqual([
      "active_users 1 live",
      "active_users_by_event 1 live",
      "feature_adoption 1 live",
      "revenue 1 live",
      "sessions 1 live",
      "to_purchase 1 live",
    ])
    expect(metrics[5]).toMatchObject({ owner: "growth", description: "From the first page to a purchase" })
  })

  test("the amounts of a metric are exact", async () => {
    const answer = await okJson(at("query", "metric", "revenue"))
    expect(answer).toMatchObject({ ...FRAME, metric: "revenue" })
    expect(answer.rows).toContainEqual({ date: "2026-03-03", value: "", stat: "sum:EUR", amount: "10.1" })
    expect(answer.totals).toContainEqual({ value: "", stat: "count:EUR", amount: "1" })
  })
})

describe("proof", () => {
  test("importing the same file again adds nothing", async () => {
    expect(await okJson(at("import", here.path("journey.ndjson")))).toMatchObject({
      read: 16,
      accepted: 16,
      duplicates: 16,
      conflicts: 0,
      rejected: 0,
      failures: [],
    })
  })

  test("verify finds every cell right", async () => {
    const verified = await okJson(at("verify"), fresh)
    expect(verified).toMatchObject({ events: 32, days: null, differences: [], origin: null })
    expect(verified.cells).toBeGreaterThan(50)
  })

  test("rebuild gives the same answers, byte for byte", async () => {
    const { comparisons, promoted } = await okJson(at("rebuild"), fresh)
    expect(promoted).toBe(true)
    expect(comparisons.map(({ metric, differing }: any) => [metric, differing]).toSorted()).toEqual([
      ["active_users", 0],
      ["active_users_by_event", 0],
      ["feature_adoption", 0],
      ["revenue", 0],
      ["sessions", 0],
      ["to_purchase", 0],
    ])
    for (const { cells } of comparisons) expect(cells.equal).toBeGreaterThan(0)
    expect(await okJson(at("rebuild", "--wipe"), fresh)).toMatchObject({ events: 32, duplicates: 17, conflicts: 0 })
    // What was imported since is in the log position, and in the share of repeats.
    const comparable = ({ asOf: _1, revisedAt: _2, revisionCause: _3, quality, ...rest }: any) =>
      JSON.stringify({ ...rest, late: quality.late })
    for (const [name, answer] of before) {
      const after = await okJson(at(...QUESTIONS[name]!))
      expect(comparable(after)).toBe(comparable(answer))
      expect(after.quality.duplicate).toBe(17 / 32)
      expect(after.asOf.positions).toHaveLength(1)
    }
    expect(before.size).toBe(4)
  })

  test("--as-of gives an answer of before the second import again, and says as of where", async () => {
    const then = before.get("activeUsers")
    const asOf = ["--as-of", then.asOf.cut]
    // The first may have to wait, and say on standard error how far the replay is.
    const { stdout } = await tidemark(at(...QUESTIONS["activeUsers"]!, ...asOf, "--json"))
    expect(JSON.parse(stdout)).toEqual(then)
    const shown = await ok(at(...QUESTIONS["activeUsers"]!, ...asOf))
    expect(shown).toContain(`As of ${then.asOf.cut}, logged until ${then.asOf.instant}.`)
    expect(await refused(2, at("query", "events", "--as-of", "0:3"))).toMatch(
      /beyond the end of the log: partition 0 ends at 2/,
    )
  })

  test("status adds up", async () => {
    const status = await okJson(at("status"))
    expect(status.partitions).toEqual([
      expect.objectContaining({
        partition: 0,
        batches: 2,
        accepted: 32,
        projected: 15,
        duplicates: 17,
        conflicts: 0,
        personless: 1,
        lag: 0,
      }),
    ])
    expect(status.sizes).toMatchObject({ distinctIds: 6, persons: 3 })
    expect(status.quarantine).toEqual({ lines: {}, failures: 0 })
  })

  test("doctor finds everything well", async () => {
    const { findings } = await okJson(at("doctor"))
    const checks = findings.map(({ check }: { check: string }) => check)
    for (const check of ["node", "log, partition 0", "read model, partition 0", "quarantine", "disk"]) {
      expect(checks).toContain(check)
    }
    expect(findings.filter(({ outcome }: { outcome: string }) => outcome === "failure")).toEqual([])
  })

  test("verify names a cell that was tampered with, and rebuild --wipe mends it", async () => {
    const broken = here.copy(store, "broken")
    const database = await PGlite.create(`${broken}/postgres`)
    await database.exec(
      `UPDATE tidemark.cells SET amount = amount + 1 WHERE day = '2026-03-04' AND stat = 'users' AND item = 'export'`,
    )
    await database.close()
    const ran = await tidemark(["verify", "--json", "--dir", broken])
    expect(refusal(ran, 1)).toContain('"tidemark rebuild --wipe"')
    const { differences, origin } = JSON.parse(ran.stdout)
    expect(origin).toEqual({ difference: differences[0], replay: "1", event: null })
    const shown = await tidemark(["verify", "--metric", "feature_adoption", "--from", "2026-03-04", "--dir", broken])
    expect(refusal(shown, 1)).toContain("1 of ")
    expect(shown.stdout).toContain("a replay of the log gives 1, as the oracle does. The tables were changed otherwise")
    expect(await ok(["verify", "--to", "2026-03-03", "--dir", broken])).toMatch(/^All \d+ cells/)
    expect(differences).toEqual([
      {
        metric: "feature_adoption",
        version: 1,
        build: "feature_adoption@1",
        date: "2026-03-04",
        item: "export",
        stat: "users",
        readModel: "2",
        oracle: "1",
      },
    ])
    // Numbers that differ where they were to be the same are shown to somebody first.
    expect(await refused(1, ["rebuild", "--dir", broken])).toMatch(
      /^feature_adoption@1\.\d was not promoted: 1 of its cells differ from those of feature_adoption@1.* --accept/,
    )
    expect(await ok(["rebuild", "--accept", "--dir", broken])).toMatch(
      /feature_adoption@1\.\d beside feature_adoption@1[.\d]*: \d+ cells are equal, 1 changed, 0 added, 0 removed\./,
    )
    expect(await ok(["verify", "--dir", broken])).toMatch(/^All \d+ cells/)
    expect(await ok(["rebuild", "--wipe", "--dir", broken])).toContain("32 events projected, 17 of them duplicates.")
    expect(await ok(["verify", "--dir", broken])).toContain("equal what the oracle makes of 32 events")
  })

  test("settings --time-zone moves the days, of all history", async () => {
    expect(await okJson(at("settings", "--time-zone", "Europe/Berlin"))).toEqual({
      timeZone: "Europe/Berlin",
      weekStart: "monday",
      mergeWindowMillis: 30 * 86_400_000,
      dedupeHorizonMillis: 7 * 86_400_000,
    })
    const answer = await okJson(at("query", "active-users", "--to", "2026-03-04"))
    expect(answer.timeZone).toBe("Europe/Berlin")
    expect(answer.rows).toEqual([row("2026-03-02", 1, 4), row("2026-03-03", 2, 4), row("2026-03-04", 2, 4)])
    const text = await ok(at("settings", "--week-start", "sunday", "--merge-window", "none"))
    expect(text).toMatch(/^time zone +Europe\/Berlin$/m)
    expect(text).toMatch(/^week start +sunday$/m)
    expect(text).toMatch(/^merge window +none$/m)
    expect(text).toMatch(/^dedupe horizon +7d$/m)
  })
})
