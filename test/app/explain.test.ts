import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Analytics } from "../../src/app/Analytics.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import type { ExplainInput } from "../../src/app/explain/explain.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import type { Store } from "../../src/app/store.ts"
import { addDecimals, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../../src/domain/measure/decimal.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { formatDay, parseDay } from "../../src/domain/time/calendar.ts"
import { accept } from "../support/accept.ts"
import { emptyStore } from "../support/cli.ts"

const directory = mkdtempSync(join(tmpdir(), "tidemark-explain-"))
const runtime = ManagedRuntime.make(
  Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory, partitions: 2 }))),
)
const run = <A, E>(effect: Effect.Effect<A, E, Store | Analytics>) => runtime.runPromise(effect)
const explain = (metric: string, input: ExplainInput) => Analytics.use((analytics) => analytics.explain(metric, input))

const append = (...events: ReadonlyArray<ReturnType<typeof accept>>) => LogWriter.use((writer) => writer.append(events))
const loggedAt = <A, E, R>(instant: string, effect: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(Date.parse(instant)), effect).pipe(Effect.provide(TestClock.layer()))
const click = (id: string, who: object, time: string) =>
  accept({ id, event: "click", ...who, timestamp: `2026-03-02T${time}Z` })
const visit = (id: string, time: string, page: string) =>
  accept({ id, event: "page_view", userId: "kim", timestamp: `2026-03-${time}Z`, properties: { path: page } })

beforeAll(async () => {
  cpSync(join(await emptyStore(), "postgres"), join(directory, "postgres"), { recursive: true })
  await run(
    Effect.gen(function* () {
      yield* recordDefinitions([
        {
          name: "revenue",
          version: 1,
          filter: { events: ["purchase"] },
          formula: { kind: "property-sum", property: "properties.amount", currency: "properties.currency" },
        },
        {
          name: "to_purchase",
          version: 1,
          formula: { kind: "funnel", steps: [{ event: "page_view" }, { event: "click" }, { event: "purchase" }] },
        },
        { name: "heartbeats", version: 1, formula: { kind: "event-count" } },
        {
          name: "each",
          version: 1,
          formula: { kind: "per-user", of: { metric: "heartbeats", stat: "events" } },
        },
      ]).pipe((recorded) => loggedAt("2026-03-01T00:00:00Z", recorded))
      yield* loggedAt(
        "2026-03-02T12:00:00Z",
        append(
          click("e1", { userId: "ada" }, "09:00:00"),
          click("e2", { anonymousId: "d1" }, "10:00:00"),
          click("e3", { userId: "bob" }, "11:00:00"),
          click("e3", { userId: "bob" }, "11:00:00"),
          click("e4", {}, "11:30:00"),
        ),
      )
      yield* project
      yield* loggedAt(
        "2026-03-04T08:00:00Z",
        append(click("e5", { userId: "cy" }, "13:00:00"), click("e6", { userId: "dee" }, "13:30:00")),
      )
      yield* loggedAt(
        "2026-03-05T08:00:00Z",
        append(
          accept({ id: "m1", type: "identify", userId: "ada", anonymousId: "d1", timestamp: "2026-03-05T07:00:00Z" }),
          accept({ id: "m2", type: "alias", userId: "cy", previousId: "cyrus", timestamp: "2026-03-05T07:30:00Z" }),
          accept({ id: "m3", type: "identify", userId: "eve", anonymousId: "d9", timestamp: "2026-03-05T07:00:00Z" }),
        ),
      )
      yield* append(
        visit("v1", "06T09:00:00", "/a"),
        visit("v2", "06T09:05:00", "/b"),
        visit("v3", "06T15:00:00", "/c"),
      )
      yield* append(...Array.from(simulate({ users: 20, days: 8, seed: 9 }), (raw) => accept(raw)))
      yield* project
    }),
  )
}, 120_000)

const project = Projector.use((projector) => projector.project())

afterAll(async () => {
  await runtime.dispose()
  rmSync(directory, { recursive: true, force: true })
})

describe("explain", { timeout: 60_000 }, () => {
  test("names the persons and events behind a number, and what changed it since its day was over", async () => {
    const explained = await run(explain("active_users", { date: "2026-03-02" }))
    expect(explained).toMatchObject({
      metric: "active_users",
      version: 1,
      definition: { name: "active_users", formula: { kind: "active-users" } },
      settings: { timeZone: "UTC" },
      cell: { date: "2026-03-02", item: "", stat: "users", amount: "4" },
      revisionCause: "identity",
    })
    expect(explained.persons.count).toBe(4)
    expect(explained.persons.listed.map(({ ids }) => ids!.toSorted())).toEqual(
      expect.arrayContaining([["a:d1", "u:ada"], ["u:bob"], ["u:cy", "u:cyrus"], ["u:dee"]]),
    )
    expect(explained.persons.listed.map(({ contributes }) => contributes)).toEqual(["1", "1", "1", "1"])

    const { events, since } = explained
    expect([events.count, events.repeats]).toEqual([6, 1])
    expect(events.listed.map(({ id, late, counts }) => [id, late, counts]).toSorted()).toEqual([
      ["e1", false, true],
      ["e2", false, true],
      ["e3", false, false],
      ["e3", false, true],
      ["e5", true, true],
      ["e6", true, true],
    ])
    expect(since.dayOver).toBe("2026-03-03T00:00:00.000Z")
    expect(since.late).toMatchObject({ count: 2, listed: [{ loggedAt: "2026-03-04T08:00:00.000Z" }, {}] })
    expect(since.merges.listed.map(({ id, kind, ids }) => [id, kind, ...ids]).toSorted()).toEqual([
      ["m1", "link", "a:d1", "u:ada"],
      ["m2", "alias", "u:cy", "u:cyrus"],
    ])
  })

  test("counts events of nobody where events count by themselves", async () => {
    const { cell, persons, events } = await run(explain("heartbeats", { date: "2026-03-02" }))
    expect([cell.stat, cell.amount, persons.count, events.count, events.repeats]).toEqual(["events", "6", 4, 7, 1])
    expect(persons.listed).toContainEqual({ ids: null, contributes: "1" })
  })

  test.each([
    ["entries", "/a", ["v1", "v2"]],
    ["exits", "/c", ["v3"]],
    ["bounces", "", ["v3"]],
    ["persons", "", ["v1", "v2", "v3"]],
  ])("of sessions that count in %s of %j, lists their events alone", async (stat, item, ids) => {
    const { events } = await run(explain("sessions", { date: "2026-03-06", stat, item }))
    expect(events.listed.map(({ id }) => id).toSorted()).toEqual(ids)
  })

  test("can be asked as of an earlier place", async () => {
    const asOf = "2026-03-03T00:00Z"
    const { cell, since, persons } = await run(explain("active_users", { date: "2026-03-02", asOf }))
    expect([cell.amount, persons.count, since.late.count, since.merges.count]).toEqual(["3", 3, 0, 0])
    expect(persons.listed.map(({ ids }) => ids)).toEqual(expect.arrayContaining([["a:d1"], ["u:ada"]]))
  })

  test("of any cell of any metric, the persons add up to its number", async () => {
    const cells = await run(
      Effect.gen(function* () {
        const queries = yield* ReadModelQueries
        const measures = yield* ReadModel.use(({ measures }) => measures)
        const days = { from: parseDay("2026-01-01")!, to: parseDay("2026-12-31")! }
        const all = yield* Effect.forEach(measures, ({ id, definition: { name } }) =>
          Effect.map(queries.cells(id, days), (cells) => cells.map((cell) => ({ ...cell, metric: name }))),
        )
        return all.flatMap((ofMetric) => ofMetric.filter((_, n) => n % Math.ceil(ofMetric.length / 15) === 0))
      }),
    )
    expect(new Set(cells.map(({ metric }) => metric)).size).toBe(7)
    for (const { metric, day, item, stat, amount } of cells) {
      const { persons, events } = await run(explain(metric, { date: formatDay(day), item, stat }))
      const sum = persons.listed.reduce(
        (sum, { contributes }) => addDecimals(sum, parseDecimal(contributes)),
        DECIMAL_ZERO,
      )
      const place = { metric, date: formatDay(day), item, stat }
      expect({ ...place, amount: formatDecimal(sum) }).toEqual({
        ...place,
        amount: formatDecimal(parseDecimal(amount)),
      })
      expect(events.count).toBeGreaterThan(0)
    }
  })

  test.each([
    ["active_user", { date: "2026-03-02" }, /Did you mean "active_users"/],
    [
      "each",
      { date: "2026-03-02" },
      /is a per-user of other metrics.*Explain what it is made of: heartbeats, active_users/,
    ],
    ["active_users", { date: "2026-13-02" }, /is not a day/],
    ["active_users", { date: "2026-06-02" }, /no cell --stat users on 2026-06-02.*It has none at all on that day/],
    ["feature_adoption", { date: "2026-01-06" }, /no cell --stat users on 2026-01-06.*There are: --item "/],
    // Not those that distinct persons of ranges are counted from.
    [
      "active_users",
      { date: "2026-03-02", stat: "new_users" },
      /There are: --stat (users; --stat events|events; --stat users)\.$/,
    ],
    ["sessions", { date: "2026-03-02", stat: "visits" }, /no cell --stat visits.*--stat sessions/],
  ])("%s %j is refused in a sentence", async (metric, input, why) => {
    expect((await run(Effect.flip(explain(metric, input)))).message).toMatch(why)
  })
})
