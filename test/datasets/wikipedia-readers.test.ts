import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Imported } from "../../src/app/importEvents.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { metric } from "../../src/app/query/metric.ts"
import { sessions } from "../../src/app/query/sessions.ts"
import { dailyOf, hasEveryDay, readDaily } from "../support/daily.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const DATA = "data/wikipedia-readers"
const FILE = sharedPath(`${DATA}/pageviews.csv.gz`)

/** Not covered yet: clients seen again exactly N days after their first day (retention). */
describe.skipIf(!hasShared(DATA))("wikipedia-readers", () => {
  let store: TestStore
  let imported: Imported

  const importAll = () => store.import(FILE, { eventName: "page_view" })

  beforeAll(async () => {
    store = await openStore()
    imported = await importAll()
    await store.project()
  })
  afterAll(() => store.close())

  it("reads every row, also those whose url holds a line break", async () => {
    expect(imported).toEqual({ read: 63_524, accepted: 63_524, rejected: 0 })
    await store.run(
      recordDefinitions([{ name: "urls", version: 1, breakdown: "properties.url", formula: { kind: "active-users" } }]),
    )
    await store.project()
    const { totals } = await store.run(metric("urls"))
    expect(totals.filter(({ stat }) => stat === "users")).toHaveLength(3534)
  })

  it("counts clients and views a day", async () => {
    const answer = await store.run(activeUsers())
    expect(dailyOf(answer)).toEqual(readDaily(sharedPath(`${DATA}/facts/dau.csv`), { events: "events", users: "dau" }))
    expect(hasEveryDay(answer)).toBe(true)
    expect(answer.total).toEqual({ users: 10_000, events: 63_524 })
  })

  it.each([
    { gap: undefined, expected: 22_224 },
    { gap: "30m", expected: 22_224 },
    { gap: "60m", expected: 20_819 },
  ])("cuts $expected sessions at pauses of more than $gap", async ({ gap, expected }) => {
    const { total, rows } = await store.run(sessions({ gap }))
    expect(total.sessions).toBe(expected)
    expect(total.events).toBe(63_524)
    expect(rows.reduce((sum, row) => sum + row.sessions, 0)).toBe(expected)
  })

  it("adds nothing when the file is imported again", async () => {
    const before = await store.run(Effect.all([activeUsers(), sessions()]))
    expect((await importAll()).accepted).toBe(63_524)
    expect(await store.project()).toMatchObject({ events: 63_524, duplicates: 63_524, conflicts: 0 })
    const [active, cut] = await store.run(Effect.all([activeUsers(), sessions()]))
    expect(active.rows).toEqual(before[0].rows)
    expect(active.total).toEqual(before[0].total)
    expect(cut.rows).toEqual(before[1].rows)
    expect(active.quality.duplicate).toBe(0.5)
  })
})
