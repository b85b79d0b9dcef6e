import { afterAll, beforeAll, expect, test } from "vitest"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { compare } from "../../src/app/change/compare.ts"
import { scratch } from "../support/cli.ts"
import { openStore, type TestStore } from "../support/store.ts"

const here = scratch()
let store: TestStore

beforeAll(async () => {
  store = await openStore()
})
afterAll(async () => {
  await store.close()
  here.remove()
})

const purchase = (userId: string, day: number) => ({
  event: "purchase",
  userId,
  timestamp: `2026-05-0${day}T12:00:00Z`,
  properties: { amount: 10 },
})

const buyers = (version: number, least: number): string =>
  `name: buyers
version: ${version}
filter: { events: [purchase], where: [{ field: properties.amount, op: gte, value: ${least} }] }
formula: { kind: active-users }
`

test("of what one build observed of a person, that of the cell's own day comes first", async () => {
  // Ada bought on more days than are listed; the day with the biggest difference, which is bob's too, is not among the first.
  const events = [1, 2, 3, 5, 6].map((day) => purchase("ada", day)).concat(purchase("bob", 5))
  const lines = events.map((event) => JSON.stringify(event))
  await store.import(await store.write("events.ndjson", lines))
  await store.run(applyMetrics(here.write("v1.yaml", buyers(1, 0))))
  await store.run(applyMetrics(here.write("v2.yaml", buyers(2, 20)), { promote: false }))
  const { biggest } = await store.run(compare("buyers@2"))
  const behind = biggest.find(({ date, stat }) => date === "2026-05-05" && stat === "users")?.persons
  expect(behind).toEqual([
    {
      distinctIds: ["u:ada"],
      before: 1,
      after: 0,
      observedOnlyBefore: ["2026-05-05", "2026-05-01", "2026-05-02"],
      observedOnlyAfter: [],
    },
    { distinctIds: ["u:bob"], before: 1, after: 0, observedOnlyBefore: ["2026-05-05"], observedOnlyAfter: [] },
  ])
})
