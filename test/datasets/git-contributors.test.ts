import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { recordDefinitions } from "../../src/app/control.ts"
import type { Imported } from "../../src/app/importEvents.ts"
import type { Projected } from "../../src/app/projection/Projector.ts"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { events } from "../../src/app/query/events.ts"
import { funnel } from "../../src/app/query/funnel.ts"
import { metric } from "../../src/app/query/metric.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { readCsv } from "../support/csv.ts"
import { dailyOf, hasEveryDay, readDaily } from "../support/daily.ts"
import {
  ALIASES_FILE,
  countDaily,
  DATA,
  EVENTS_FILE,
  readAliases,
  readGitLines,
  rootsOf,
} from "../support/gitContributors.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const EVENTS = 1_342_716
const STEPS = [{ event: "commit_authored" }, { event: "reviewed" }, { event: "merge_committed" }]
const FROM_FIRST = { kind: "funnel", steps: STEPS, window: "none", reentry: "first-entry-only" } as const
const WITHIN_MONTH = { kind: "funnel", steps: STEPS, window: "30d" } as const

const areas = (name: string, repo: string): MetricDefinition => ({
  name,
  version: 1,
  filter: { where: [{ field: "properties.repo", op: "eq", value: repo }] },
  breakdown: "properties.area",
  formula: { kind: "active-users" },
})

/** Both projects as one log, whose users are one when either project says so. */
describe.skipIf(!hasShared(DATA))("git-contributors", () => {
  let store: TestStore
  let imported: Imported
  let projected: Projected

  beforeAll(async () => {
    store = await openStore()
    imported = await store.import(EVENTS_FILE)
    projected = await store.project()
  }, 300_000)
  afterAll(() => store.close())

  const usersByStep = async (input: Parameters<typeof funnel>[0]) =>
    (await store.run(funnel(input))).steps.map(({ users }) => users)

  it("reads every row", () => {
    expect(imported).toEqual({ read: EVENTS, accepted: EVENTS, rejected: 0 })
    expect(projected).toMatchObject({ events: EVENTS, duplicates: 0 })
  })

  it("counts users and events a day", async () => {
    const answer = await store.run(activeUsers())
    const daily = dailyOf(answer)
    expect(daily).toEqual(readDaily(sharedPath(`${DATA}/facts/dau.csv`), { events: "events", users: "dau" }))
    expect(hasEveryDay(answer)).toBe(true)
    expect(answer).toMatchObject({ from: "1988-01-05", to: "2026-08-20", total: { users: 8645, events: EVENTS } })
    const users = Object.values(daily).map((day) => day.users)
    expect(users).toHaveLength(8187)
    expect(users.reduce((sum, count) => sum + count, 0)).toBe(125_110)
    expect(Math.max(...users)).toBe(102)
    expect(daily["2016-08-26"]!.users).toBe(102)
  })

  it("counts users and events of one year", async () => {
    const { total } = await store.run(activeUsers({ from: "2023-01-01", to: "2023-12-31" }))
    expect(total).toEqual({ users: 929, events: 66_805 })
  })

  it("counts events by name", async () => {
    const facts = readCsv(sharedPath(`${DATA}/facts/event_types.csv`)).map((row) => ({
      event: row["event"]!,
      events: Number(row["events"]),
      users: Number(row["users"]),
    }))
    const order = (a: { readonly event: string }, b: { readonly event: string }) => (a.event < b.event ? -1 : 1)
    expect([...(await store.run(events())).totals].sort(order)).toEqual(facts.sort(order))
  })

  it("counts a funnel that nobody applied", async () => {
    expect(await usersByStep({ formula: FROM_FIRST })).toEqual([6486, 729, 15])
  })

  it("builds metrics that are applied later, from the whole log", async () => {
    const applied: ReadonlyArray<MetricDefinition> = [
      areas("areas_of_git", "git"),
      areas("areas_of_u_boot", "u-boot"),
      { name: "repos", version: 1, breakdown: "properties.repo", formula: { kind: "active-users" } },
      { name: "from_first", version: 1, formula: FROM_FIRST },
      { name: "within_month", version: 1, formula: WITHIN_MONTH },
    ]
    await store.run(recordDefinitions(applied))
    expect((await store.project()).built.toSorted()).toEqual(
      applied.map(({ name, version }) => `${name}@${version}`).toSorted(),
    )

    const totals = async (name: string) => {
      const byValue: Record<string, Record<string, number>> = {}
      for (const { value, stat, amount } of (await store.run(metric(name))).totals) {
        byValue[value] = { ...byValue[value], [stat]: Number(amount) }
      }
      return byValue
    }
    const facts = readCsv(sharedPath(`${DATA}/facts/areas.csv`))
    const factsOf = (repo: string) =>
      Object.fromEntries(
        facts
          .filter((row) => row["repo"] === repo)
          .map((row) => [row["area"], { events: Number(row["events"]), users: Number(row["users"]) }]),
      )
    expect(await totals("areas_of_git")).toEqual(factsOf("git"))
    expect(await totals("areas_of_u_boot")).toEqual(factsOf("u-boot"))
    expect(await totals("repos")).toEqual({
      git: { events: 400_570, users: 3591 },
      "u-boot": { events: 942_146, users: 5134 },
    })
    expect(await usersByStep({ name: "from_first" })).toEqual([6486, 729, 15])
    expect(await usersByStep({ name: "within_month" })).toEqual([6486, 452, 11])
  }, 300_000)

  it("adds nothing when the file is imported again", async () => {
    await store.import(EVENTS_FILE)
    expect(await store.project()).toMatchObject({ events: EVENTS, duplicates: EVENTS, conflicts: 0 })
    expect((await store.run(activeUsers())).total).toEqual({ users: 8645, events: EVENTS })
  }, 300_000)

  it("joins the users that the alias file names, back to the first day", async () => {
    const aliases = readAliases()
    await store.import(ALIASES_FILE, {
      map: { user: "canonical_user_id", previous: "alias_user_id" },
      eventName: "alias",
    })
    expect(await store.project()).toMatchObject({ events: 360, duplicates: 0 })

    const roots = rootsOf(aliases)
    const expected = countDaily(readGitLines(), ({ user }) => roots(user))
    const answer = await store.run(activeUsers())
    expect(dailyOf(answer)).toEqual(expected.daily)
    expect(answer.total).toEqual({ users: expected.persons, events: EVENTS })
    expect(expected.persons).toBe(8331)
    expect(answer.revisionCause).toBe("identity")
  }, 300_000)
})
