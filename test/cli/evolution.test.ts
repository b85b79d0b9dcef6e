import { Effect } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { LogWriter } from "../../src/app/LogWriter.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { openSqliteLog } from "../../src/infra/embedded/SqliteLog.ts"
import { ok, okJson, refused, scratch } from "../support/cli.ts"

/** A log in which names changed, and to which a newer version wrote. */

const here = scratch()
let store = ""

/** Events of a kind that no version knows yet. One carries both ids, and would link them if its kind were known. */
const CONSENTS: ReadonlyArray<Event> = [
  { id: "c1", userId: "bob", anonymousId: "d2" },
  { id: "c2", userId: "cid", anonymousId: null },
].map((ids) => ({
  ...ids,
  kind: "unknown(7)",
  name: "consent_given",
  sessionId: null,
  time: Date.parse("2026-01-06T10:00:00Z"),
  timestamp: null,
  sentAt: null,
  receivedAt: null,
  warnings: ["unknown(30)"],
  body: {},
}))

beforeAll(async () => {
  store = await here.store("store")
  const at = (day: number) => `2026-01-0${day}T10:00:00Z`
  const file = here.write("events.ndjson", [
    { id: "1", event: "signup", userId: "ada", timestamp: at(5), properties: { plan: "pro" } },
    { id: "2", event: "sign_up", userId: "bob", timestamp: at(6), properties: { tier: "free" } },
    { id: "3", event: "sign_up", userId: "cid", timestamp: at(6), properties: { tier: "free", plan: "pro" } },
    { id: "4", event: "sign_up", userId: "dan", timestamp: at(6), properties: { tier: null, plan: "pro" } },
    { id: "5", event: "click", anonymousId: "d2", timestamp: at(6) },
    { id: "6", event: "bought", userId: "ada", timestamp: at(7) },
  ])
  await ok(["import", file, "--dir", store])
  await Effect.gen(function* () {
    const { log } = yield* openSqliteLog(store, { partitions: 1 })
    const writer = yield* LogWriter.make.pipe(Effect.provideService(EventLog, log))
    yield* writer.append(CONSENTS)
  }).pipe(Effect.scoped, Effect.runPromise)
  const metrics = here.write(
    "metrics.yaml",
    `
metrics:
  - name: sign_ups
    version: 1
    renamed:
      events: { signup: sign_up }
      properties: { properties.plan: properties.tier }
    filter: { events: [sign_up] }
    breakdown: properties.tier
    formula: { kind: active-users }
  - name: buying
    version: 1
    renamed: { events: { signup: sign_up, bought: purchase } }
    formula: { kind: funnel, steps: [{ event: sign_up }, { event: purchase }] }
`,
  )
  await ok(["metrics", "apply", metrics, "--dir", store])
  await ok(["project", "--once", "--dir", store])
})

afterAll(() => here.remove())

test("a metric that says what was renamed counts old names as new ones", async () => {
  const { totals } = await okJson(["query", "metric", "sign_ups", "--dir", store])
  const users = totals.filter(({ stat }: { stat: string }) => stat === "users")
  expect(users.map(({ value, amount }: { value: string; amount: string }) => [value, amount]).sort()).toEqual([
    ["free", "2"],
    ["pro", "2"],
  ])
  const { steps, warnings } = await okJson(["query", "funnel", "buying", "--dir", store])
  expect(steps.map(({ name, users }: { name: string; users: number }) => [name, users])).toEqual([
    ["sign_up", 4],
    ["purchase", 1],
  ])
  expect(warnings).toEqual([])
})

test("renames one after another are refused", async () => {
  const file = here.write(
    "chain.yaml",
    `{ name: m, version: 1, renamed: { events: { a: b, b: c } }, formula: { kind: event-count } }`,
  )
  expect(await refused(2, ["metrics", "apply", file, "--dir", store])).toContain(
    `"b", the new name of "a", is renamed itself; give every old name the latest one`,
  )
})

test("events of kinds that only a newer version knows are counted apart, and make nobody active", async () => {
  const { totals, unknownKinds } = await okJson(["query", "events", "--dir", store])
  expect(unknownKinds).toEqual([{ kind: "unknown(7)", events: 2 }])
  expect(totals.map(({ event }: { event: string }) => event).sort()).toEqual(["bought", "click", "sign_up", "signup"])
  expect(await ok(["query", "events", "--dir", store])).toContain(
    `2 of kind unknown(7) are no activity here: a newer Tidemark logged them. Upgrade, then "tidemark rebuild --wipe".`,
  )
  expect((await okJson(["verify", "--dir", store])).differences).toEqual([])
})
