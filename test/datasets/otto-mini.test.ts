import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Imported } from "../../src/app/importEvents.ts"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { events } from "../../src/app/query/events.ts"
import { funnel } from "../../src/app/query/funnel.ts"
import { sessions } from "../../src/app/query/sessions.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { accept } from "../support/accept.ts"
import { readLines, toJsonLines } from "../support/csv.ts"
import { dailyOf, hasEveryDay, readDaily } from "../support/daily.ts"
import { MemoryModel } from "../support/MemoryModel.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const DATA = "data/otto-mini"

interface Visit {
  readonly session: number
  readonly events: ReadonlyArray<{ readonly aid: number; readonly ts: number; readonly type: string }>
}

const FUNNEL = {
  kind: "funnel",
  steps: [{ event: "clicks" }, { event: "carts" }, { event: "orders" }],
  window: "none",
} as const

describe.skipIf(!hasShared(DATA))("otto-mini", () => {
  let store: TestStore
  let visits: ReadonlyArray<Visit>
  let imported: Imported
  let file: string

  beforeAll(async () => {
    visits = readLines(sharedPath(`${DATA}/sessions.jsonl`)).map((line) => JSON.parse(line) as Visit)
    store = await openStore()
    // A session stands for the person, whose id has a name before it: `0` alone is no id.
    const lines = visits.flatMap(({ session, events }) =>
      events.map(({ aid, ts, type }) => ({
        event: type,
        userId: `session-${session}`,
        sessionId: `session-${session}`,
        timestamp: ts,
        properties: { aid },
      })),
    )
    file = await store.write("otto.ndjson", toJsonLines(lines))
    imported = await store.import(file)
    await store.project()
  })
  afterAll(() => store.close())

  it("reads every event", () => {
    expect(imported).toEqual({ read: 862, accepted: 862, rejected: 0 })
  })

  it("counts sessions and events a day", async () => {
    const answer = await store.run(activeUsers())
    const facts = readDaily(sharedPath(`${DATA}/facts/dau.csv`), { events: "events", users: "sessions" })
    expect(dailyOf(answer)).toEqual(facts)
    expect(hasEveryDay(answer)).toBe(true)
    expect(answer.total).toEqual({ users: 20, events: 862 })
  })

  it("counts events by name", async () => {
    expect((await store.run(events())).totals).toEqual([
      { event: "clicks", events: 800, users: 20 },
      { event: "carts", events: 52, users: 7 },
      { event: "orders", events: 10, users: 3 },
    ])
  })

  it("groups by the session id that the events bring, however long the pauses", async () => {
    expect((await store.run(sessions())).total).toMatchObject({ sessions: 20, events: 862 })
  })

  it("counts the funnel per session", async () => {
    const { steps } = await store.run(funnel({ formula: FUNNEL }))
    expect(steps.map(({ users }) => users)).toEqual([20, 7, 2])
  })

  it("counts the funnel per session and item, each pair standing for a person", () => {
    const model = new MemoryModel([{ name: "pairs", version: 1, formula: FUNNEL }], DEFAULT_SETTINGS)
    for (const { session, events } of visits) {
      model.take(events.map(({ aid, ts, type }) => accept({ event: type, userId: `${session}-${aid}`, timestamp: ts })))
    }
    expect(model.ask(funnel({ name: "pairs" })).steps.map(({ users }) => users)).toEqual([525, 40, 5])
  })

  it("adds nothing when the file is imported again", async () => {
    await store.import(file)
    expect(await store.project()).toMatchObject({ events: 862, duplicates: 862, conflicts: 0 })
    expect((await store.run(activeUsers())).total).toEqual({ users: 20, events: 862 })
  })
})
