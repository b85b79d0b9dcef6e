import { rmSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { openTidemark, type Tidemark } from "../../src/index.ts"
import { ok, scratch } from "../support/cli.ts"

/** The promise façade, on one store of its own. */

const here = scratch()
let directory = ""
let tidemark: Tidemark

beforeAll(async () => {
  directory = await here.store("facade")
  tidemark = await openTidemark({ directory, flushIntervalMillis: 60_000 })
})

afterAll(async () => {
  await tidemark.close()
  here.remove()
})

const day = (n: number) => `2026-04-0${n}T12:00:00Z`

describe("tracking and asking", () => {
  test("a question sees everything tracked before it, without a flush", async () => {
    await tidemark.track({ event: "sign_up", anonymousId: "d1", timestamp: day(1) })
    await tidemark.identify({ userId: "ada", anonymousId: "d1", traits: { plan: "pro" }, timestamp: day(1) })
    expect((await tidemark.activeUsers()).total).toEqual({ users: 1, events: 1 })
    await tidemark.page({ userId: "ada", name: "home", timestamp: day(2) })
    await tidemark.screen({ userId: "bob", name: "home", timestamp: day(2) })
    await tidemark.group({ groupId: "acme", userId: "bob", timestamp: day(2) })
    const { rows, total } = await tidemark.activeUsers({ interval: "day", from: "2026-04-01", to: "2026-04-02" })
    expect(rows).toEqual([
      { date: "2026-04-01", users: 1, events: 1 },
      { date: "2026-04-02", users: 2, events: 2 },
    ])
    expect(total).toEqual({ users: 2, events: 3 })
  })

  test("the typed helpers feed the built-in metrics", async () => {
    await tidemark.trackPageView({ userId: "ada", pageName: "shop", timestamp: day(3) })
    await tidemark.trackClick({ userId: "ada", elementId: "buy", timestamp: day(3) })
    await tidemark.trackFeatureUsed({ userId: "ada", featureName: "cart", timestamp: day(3) })
    await tidemark.trackPurchase({ userId: "ada", purchaseId: "p1", amount: 5, currency: "EUR", timestamp: day(3) })
    await tidemark.trackError({ userId: "ada", errorType: "Timeout", timestamp: day(3) })
    expect((await tidemark.adoption()).features).toMatchObject([{ featureName: "cart", uniqueUsers: 1, totalUsers: 2 }])
    expect((await tidemark.events({ from: "2026-04-03" })).totals.map(({ event }) => event)).toEqual([
      "click",
      "error",
      "feature_used",
      "page_view",
      "purchase",
    ])
    expect(await tidemark.user("ada")).toMatchObject({
      totalEvents: 7,
      uniqueDays: 3,
      pageViews: 2,
      purchases: 1,
      clicks: 1,
    })
    // As answers print ids.
    expect((await tidemark.user("u:ada")).distinctIds).toEqual((await tidemark.user("ada")).distinctIds)
    const formula = { kind: "funnel", steps: [{ event: "sign_up" }, { event: "purchase" }] }
    expect((await tidemark.funnel({ formula })).steps.map(({ users }) => users)).toEqual([1, 1])
    expect((await tidemark.sessions({ gap: "1h" })).total.sessions).toBe(4)
  })

  test("questions asked at once wait for each other, and agree", async () => {
    await tidemark.track({ event: "at_once", userId: "ada", timestamp: day(4) })
    const [users, events, again] = await Promise.all([
      tidemark.activeUsers({ event: "at_once" }),
      tidemark.events({ event: "at_once" }),
      tidemark.activeUsers({ event: "at_once" }),
      tidemark.track({ event: "meanwhile", userId: "ada", timestamp: day(4) }),
    ])
    expect(users.total).toEqual({ users: 1, events: 1 })
    expect(events.totals).toEqual([{ event: "at_once", events: 1, users: 1 }])
    expect(again.total).toEqual(users.total)
  })

  test("a repeat of an id counts once", async () => {
    for (let n = 0; n < 3; n++) await tidemark.track({ id: "again", event: "ping", userId: "ada", timestamp: day(4) })
    expect((await tidemark.activeUsers({ event: "ping" })).total).toEqual({ users: 1, events: 1 })
  })

  test("alias joins two users, and unalias takes it back", async () => {
    const users = async () => (await tidemark.activeUsers()).total.users
    await tidemark.alias({ previousId: "bob", userId: "ada", timestamp: day(4) })
    expect(await users()).toBe(1)
    await tidemark.unalias({ previousId: "bob", userId: "ada", timestamp: day(5) })
    expect(await users()).toBe(2)
  })

  test("metrics are applied to all of history, and rebuild changes nothing", async () => {
    const file = here.write(
      "metrics.yaml",
      "name: revenue\nversion: 1\nfilter: { events: [purchase] }\nformula: { kind: property-sum, property: properties.amount }\n",
    )
    const { applied, waiting } = await tidemark.applyMetrics(file)
    expect(applied).toEqual([{ name: "revenue", version: 1, outcome: "applied" }])
    expect(waiting).toEqual([])
    const { totals } = await tidemark.metric("revenue")
    expect(totals).toContainEqual({ value: "", stat: "sum", amount: "5" })
    const { comparisons, promoted } = await tidemark.rebuild({ metrics: ["revenue"] })
    expect(comparisons).toMatchObject([{ live: "revenue@1", build: "revenue@1.2", differing: 0 }])
    expect(promoted).toBe(true)
    expect((await tidemark.metric("revenue")).totals).toEqual(totals)
  })
})

describe("what goes wrong is a typed error", () => {
  test("an event that can't be one", async () => {
    await expect(tidemark.track({ event: "" })).rejects.toMatchObject({ _tag: "EventRejected", reason: "name-missing" })
    await expect(
      tidemark.trackPurchase({ purchaseId: "p", amount: 1n as never, currency: "EUR" }),
    ).rejects.toMatchObject({
      _tag: "EventRejected",
      reason: "not-json",
    })
  })

  test("a question that has no answer", async () => {
    await expect(tidemark.activeUsers({ interval: "eon" })).rejects.toMatchObject({ _tag: "BadQuery" })
    await expect(tidemark.activeUsers({ from: "2026-04-02", to: "2026-04-01" })).rejects.toThrow(/runs backwards/)
    await expect(tidemark.metric("revenu")).rejects.toThrow(/Did you mean "revenue"/)
    await expect(tidemark.funnel({ formula: { kind: "funnel", steps: [] } })).rejects.toMatchObject({
      _tag: "BadQuery",
    })
    await expect(tidemark.user("nobody")).rejects.toMatchObject({ _tag: "BadQuery" })
  })

  test("a definition that can't be applied", async () => {
    await expect(tidemark.applyMetrics(here.path("none.yaml"))).rejects.toMatchObject({ _tag: "BadDefinition" })
  })

  test("a store that somebody has open, here or elsewhere", async () => {
    await expect(openTidemark({ directory })).rejects.toMatchObject({ _tag: "StoreInUse", directory, pid: process.pid })
  })

  test("a directory that can't be one", async () => {
    const file = here.write("file", "")
    await expect(openTidemark({ directory: file })).rejects.toMatchObject({ _tag: "StoreUnavailable" })
  })
})

describe("closing", () => {
  test("await using flushes and lets go of the store; the program sees what the library wrote", async () => {
    const other = await here.store("using")
    {
      await using scoped = await openTidemark({ directory: other })
      await scoped.track({ event: "kept", userId: "ada", timestamp: day(1) })
    }
    {
      await using again = await openTidemark({ directory: other })
      expect((await again.events()).totals).toEqual([{ event: "kept", events: 1, users: 1 }])
      await again.track({ event: "kept", userId: "ada", timestamp: day(1) })
      await again.flush()
    }
    expect(await ok(["project", "--dir", other])).toContain("1 event projected")
  })

  test("twice is once", async () => {
    const other = await here.store("twice")
    const opened = await openTidemark({ directory: other })
    await opened.close()
    await opened.close()
    rmSync(other, { recursive: true })
  })

  test("ends it: what is called afterwards says so", async () => {
    const other = await here.store("closed")
    const opened = await openTidemark({ directory: other })
    await opened.close()
    for (const call of [() => opened.track({ event: "late", userId: "ada" }), () => opened.activeUsers()]) {
      await expect(call()).rejects.toMatchObject({
        _tag: "TidemarkClosed",
        message: expect.stringContaining("was closed"),
      })
    }
  })
})
