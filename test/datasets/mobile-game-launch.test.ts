import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Imported } from "../../src/app/importEvents.ts"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { events } from "../../src/app/query/events.ts"
import { funnel } from "../../src/app/query/funnel.ts"
import { dailyOf, hasEveryDay, readDaily } from "../support/daily.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const DATA = "data/mobile-game-launch"
const FILE = sharedPath(`${DATA}/events.csv.gz`)

/** Not covered yet: gameStarted on a later day, and exactly N days later (retention). */
describe.skipIf(!hasShared(DATA))("mobile-game-launch", () => {
  let store: TestStore
  let imported: Imported

  beforeAll(async () => {
    store = await openStore()
    imported = await store.import(FILE)
    await store.project()
  })
  afterAll(() => store.close())

  it("reads every row", () => {
    expect(imported).toEqual({ read: 29_324, accepted: 29_324, rejected: 0 })
  })

  it("counts players and events a day", async () => {
    const answer = await store.run(activeUsers())
    expect(dailyOf(answer)).toEqual(readDaily(sharedPath(`${DATA}/facts/dau.csv`), { events: "events", users: "dau" }))
    expect(hasEveryDay(answer)).toBe(true)
    expect(answer.rows).toHaveLength(31)
    expect(answer.total).toEqual({ users: 3994, events: 29_324 })
  })

  it("counts events by name", async () => {
    expect((await store.run(events())).totals).toEqual([
      { event: "gameStarted", events: 25_222, users: 3994 },
      { event: "newPlayer", events: 4102, users: 3971 },
    ])
  })

  it("finds that all new players started a game on their first day or later", async () => {
    const steps = [{ event: "newPlayer" }, { event: "gameStarted" }]
    const { steps: counted } = await store.run(
      funnel({ formula: { kind: "funnel", steps, window: "none", reentry: "first-entry-only" } }),
    )
    expect(counted.map(({ users }) => users)).toEqual([3971, 3971])
  })

  it("adds nothing when the file is imported again", async () => {
    await store.import(FILE)
    expect(await store.project()).toMatchObject({ events: 29_324, duplicates: 29_324, conflicts: 0 })
    expect((await store.run(activeUsers())).total).toEqual({ users: 3994, events: 29_324 })
  })
})
