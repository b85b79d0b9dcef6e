import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Imported } from "../../src/app/importEvents.ts"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { events } from "../../src/app/query/events.ts"
import { funnel } from "../../src/app/query/funnel.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { INTAKE, ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { formatDay, parseDay } from "../../src/domain/time/calendar.ts"
import { accept } from "../support/accept.ts"
import { readCsv, toJsonLines } from "../support/csv.ts"
import { dailyOf, hasEveryDay, readDaily } from "../support/daily.ts"
import { MemoryModel } from "../support/MemoryModel.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const DATA = "data/online-retail"
const FILE = sharedPath(`${DATA}/transactions.csv.gz`)
const DAU = sharedPath(`${DATA}/facts/dau.csv`)
const present = hasShared(DATA)

/** Not covered yet: retention by month. */
describe.skipIf(!present)("online-retail, a line at a time", () => {
  let store: TestStore
  let imported: Imported

  const importAll = () => store.import(FILE, { map: { time: "InvoiceDate", user: "CustomerID" }, eventName: "line" })

  beforeAll(async () => {
    store = await openStore()
    imported = await importAll()
    await store.project()
  })
  afterAll(() => store.close())

  it("reads every line, also those that are equal", () => {
    expect(imported).toEqual({ read: 541_909, accepted: 541_909, rejected: 0 })
  })

  it("counts identified customers and lines a day", async () => {
    const answer = await store.run(activeUsers())
    expect(dailyOf(answer)).toEqual(readDaily(DAU, { events: "lines", users: "dau_identified" }))
    expect(hasEveryDay(answer)).toBe(true)
    expect(answer.total).toEqual({ users: 4372, events: 541_909 })
  })

  it("says how many lines a day have no customer", async () => {
    const range = { from: parseDay("2010-12-01")!, to: parseDay("2011-12-09")! }
    const cells = await store.run(
      ReadModelQueries.use((queries) => queries.cells(INTAKE, range, { stats: ["personless"] })),
    )
    const facts = readCsv(DAU)
      .map((row) => [row["day"], Number(row["lines_without_customer"])])
      .filter(([, lines]) => lines !== 0)
    expect(cells.map(({ day, amount }) => [formatDay(day), Number(amount)])).toEqual(facts)
    expect(cells.reduce((sum, { amount }) => sum + Number(amount), 0)).toBe(135_080)
  })

  it("adds nothing when the file is imported again", async () => {
    await importAll()
    expect(await store.project()).toMatchObject({ events: 541_909, duplicates: 541_909, conflicts: 0 })
    expect((await store.run(activeUsers())).total).toEqual({ users: 4372, events: 541_909 })
  })
})

const NAMES: Readonly<Record<string, string>> = { C: "order_cancelled", A: "bad_debt_adjusted" }

/** One event an invoice, at the time of its first line. */
const invoices = (): ReadonlyArray<Invoice> => {
  const found = new Map<string, Invoice>()
  for (const row of readCsv(FILE)) {
    const id = row["InvoiceNo"]!
    const timestamp = row["InvoiceDate"]!
    const known = found.get(id)
    if (known === undefined) {
      const customer = row["CustomerID"] === "" ? {} : { userId: row["CustomerID"]! }
      found.set(id, { id, event: NAMES[id[0]!] ?? "order_placed", timestamp, ...customer })
    } else if (timestamp < known.timestamp) {
      found.set(id, { ...known, timestamp })
    }
  }
  return [...found.values()]
}

interface Invoice extends JsonObject {
  readonly id: string
  readonly event: string
  readonly timestamp: string
}

describe.skipIf(!present)("online-retail, an invoice at a time", () => {
  let store: TestStore
  let all: ReadonlyArray<Invoice>

  beforeAll(async () => {
    all = invoices()
    store = await openStore()
    await store.import(await store.write("invoices.ndjson", toJsonLines(all)))
    await store.project()
  })
  afterAll(() => store.close())

  it("counts invoices by kind, and the customers of each", async () => {
    const facts = readCsv(sharedPath(`${DATA}/facts/event_types.csv`)).map((row) => ({
      event: row["event"],
      events: Number(row["invoices"]),
      users: Number(row["customers"]),
    }))
    expect((await store.run(events())).totals).toEqual(facts)
  })

  it("counts identified customers and invoices a day", async () => {
    const answer = await store.run(activeUsers())
    expect(dailyOf(answer)).toEqual(readDaily(DAU, { events: "invoices", users: "dau_identified" }))
    expect(answer.total.events).toBe(25_900)
  })

  /**
   * A funnel's steps can't ask for another calendar day, so the events do: the first order of a customer's day stands for
   * the day, and two of them are of two days.
   */
  it("counts customers who ordered on another day, and cancelled after that", () => {
    const ORDERED_ON_A_DAY = "ordered_on_a_day"
    const first = new Map<string, Invoice>()
    for (const order of all.filter(({ event }) => event === "order_placed")) {
      const key = `${String(order["userId"])} ${order.timestamp.slice(0, 10)}`
      const known = first.get(key)
      if (known === undefined || order.timestamp < known.timestamp) first.set(key, order)
    }
    const steps = [{ event: ORDERED_ON_A_DAY }, { event: ORDERED_ON_A_DAY }, { event: "order_cancelled" }]
    const model = new MemoryModel(
      [
        { name: "returned", version: 1, formula: { kind: "funnel", steps, window: "none" } },
        {
          name: "returned_soon",
          version: 1,
          formula: { kind: "funnel", steps: steps.slice(0, 2), window: "720h", reentry: "first-entry-only" },
        },
      ],
      DEFAULT_SETTINGS,
    )
    const days = [...first.values()].map((order) => ({ ...order, id: `day ${order.id}`, event: ORDERED_ON_A_DAY }))
    const raw = [...days, ...all.filter(({ event }) => event === "order_cancelled")].map((event) => accept(event))
    for (let at = 0; at < raw.length; at += 4096) model.take(raw.slice(at, at + 4096))
    const counted = (name: string) => model.ask(funnel({ name })).steps.map(({ users }) => users)
    expect(counted("returned")).toEqual([4339, 2790, 1061])
    expect(counted("returned_soon")).toEqual([4339, 803])
  })
})
