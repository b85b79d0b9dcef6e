import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Analytics } from "../../src/app/Analytics.ts"
import { ReplayProgress, Replays } from "../../src/app/asOf/Replays.ts"
import { resolveAsOf } from "../../src/app/asOf/resolveAsOf.ts"
import { recordDefinitions, recordSettings } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import type { MetricAnswer } from "../../src/app/query/metricAnswer.ts"
import type { Store } from "../../src/app/store.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { accept } from "../support/accept.ts"
import { emptyStore } from "../support/cli.ts"

/**
 * A store with a history: what was answered at the end of March 3rd is asked for again after late events, a merge, a new
 * version of a metric and another time zone.
 */

const root = mkdtempSync(join(tmpdir(), "tidemark-as-of-"))
const directory = join(root, "store")

const runtime = ManagedRuntime.make(
  Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory, partitions: 2 }))),
)
const run = <A, E>(effect: Effect.Effect<A, E, Store | Analytics>) => runtime.runPromise(effect)
const refusal = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E, Store | Analytics>) =>
  run(Effect.map(Effect.flip(effect), ({ message }) => message))

/** Does something at an instant by the writer's clock. */
const loggedAt = <A, E, R>(instant: string, effect: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(Date.parse(instant)), effect).pipe(Effect.provide(TestClock.layer()))

const track = (userId: string, timestamp: string, event = "click") => accept({ event, userId, timestamp })

const append = (...events: ReadonlyArray<ReturnType<typeof accept>>) => LogWriter.use((writer) => writer.append(events))

const project = Projector.use((projector) => projector.project())

const clicks = (version: number, filter: MetricDefinition["filter"]): MetricDefinition => ({
  name: "clicks",
  version,
  ...(filter === undefined ? {} : { filter }),
  formula: { kind: "event-count" },
})

const questions = (asOf?: string) =>
  Analytics.use((analytics) =>
    Effect.all({
      activeUsers: analytics.activeUsers({ interval: "week", asOf }),
      adoption: analytics.adoption({ asOf }),
      events: analytics.events({ asOf }),
      sessions: analytics.sessions({ gap: "1h", asOf }),
      metric: analytics.metric("clicks", { asOf }),
      user: analytics.user("ada", { asOf }),
      funnel: analytics.funnel({ formula: { kind: "funnel", steps: [{ event: "click" }, { event: "buy" }] }, asOf }),
    }),
  )

/** One question, since each opens the replay anew. */
const clicksAsOf = (asOf: string) => Analytics.use((analytics) => analytics.metric("clicks", { asOf }))

type Answers = Effect.Success<ReturnType<typeof questions>>
let then: Answers
let now: Answers

beforeAll(async () => {
  // Making Postgres' files takes seconds each time.
  const postgres = join(await emptyStore(), "postgres")
  for (const place of ["", "as-of/1", "as-of/2", "as-of/3", "shared/1", "shared/2"]) {
    cpSync(postgres, join(directory, place, "postgres"), { recursive: true })
  }
  await run(
    Effect.gen(function* () {
      yield* loggedAt("2026-03-01T12:00:00Z", recordDefinitions([clicks(1, { events: ["click"] })]))
      yield* loggedAt(
        "2026-03-02T12:00:00Z",
        append(track("ada", "2026-03-02T09:00:00Z"), track("bob", "2026-03-02T10:00:00Z")),
      )
      yield* loggedAt(
        "2026-03-03T12:00:00Z",
        append(
          track("ada", "2026-03-03T09:00:00Z"),
          track("cy", "2026-03-03T10:00:00Z"),
          track("ada", "2026-03-03T10:00:00Z", "buy"),
        ),
      )
      yield* project
      then = yield* questions()
      yield* loggedAt("2026-03-05T12:00:00Z", append(track("dan", "2026-03-02T23:30:00Z")))
      yield* loggedAt(
        "2026-03-05T13:00:00Z",
        append(accept({ type: "alias", userId: "ada", previousId: "cy", timestamp: "2026-03-05T12:59:00Z" })),
      )
      yield* loggedAt("2026-03-06T12:00:00Z", recordDefinitions([clicks(2, undefined)]))
      yield* loggedAt("2026-03-06T13:00:00Z", recordSettings({ timeZone: "Europe/Berlin" }))
      yield* project
      now = yield* questions()
    }),
  )
}, 120_000)

afterAll(async () => {
  await runtime.dispose()
  rmSync(root, { recursive: true, force: true })
})

const totalOf = ({ totals }: MetricAnswer) => totals.map(({ amount }) => amount)

describe("an answer as of an earlier place", { timeout: 60_000 }, () => {
  test("is the answer that was given there, to the last letter", async () => {
    // Else this test would say nothing.
    expect(then.activeUsers.total.users).toBe(3)
    expect(now.activeUsers.total.users).toBe(3)
    expect([then.metric.version, now.metric.version]).toEqual([1, 2])
    expect([totalOf(then.metric), totalOf(now.metric)]).toEqual([["4"], ["6"]])
    expect([then.events.timeZone, now.events.timeZone]).toEqual(["UTC", "Europe/Berlin"])

    expect(await run(questions(then.activeUsers.asOf.cut!))).toEqual(then)
  })

  test.each([
    ["with a zone", "2026-03-05T11:59:59Z"],
    ["without a zone, of the project's time zone", "2026-03-05 12:59:59"],
    ["to the moment of its last batch", "2026-03-03T12:00:00.000Z"],
  ])("at an instant of log time %s", async (_, instant) => {
    expect(await run(clicksAsOf(instant))).toEqual(then.metric)
  })

  test("a moment before a batch is logged it does not count, nor do control facts", async () => {
    const before = await run(clicksAsOf("2026-03-03T11:59:59.999Z"))
    expect(totalOf(before)).toEqual(["2"])
    expect(before.asOf.instant).toBe("2026-03-02T12:00:00.000Z")
  })

  test("late events, merges and definitions are told apart by asking between them", async () => {
    const late = await run(Analytics.use((analytics) => analytics.activeUsers({ asOf: "2026-03-05T12:30:00Z" })))
    expect([late.total.users, late.timeZone]).toEqual([4, "UTC"])
    const merged = await run(Analytics.use((analytics) => analytics.activeUsers({ asOf: "2026-03-06T12:30:00Z" })))
    expect([merged.total.users, merged.timeZone]).toEqual([3, "UTC"])
    const applied = await run(clicksAsOf("2026-03-06T12:30:00Z"))
    expect([applied.version, applied.timeZone, totalOf(applied)]).toEqual([2, "UTC", ["6"]])
  })

  test("a place written by hand takes the control facts that were logged until then", async () => {
    const cut = await run(resolveAsOf("2026-03-05T12:30:00Z"))
    const byHand = cut.flatMap(({ position: { partition, sequence } }) =>
      partition < 0 ? [] : [`${partition}:${sequence}`],
    )
    expect(await run(resolveAsOf(byHand.join(",")))).toEqual(expect.arrayContaining([...cut]))
    expect(cut[0]).toMatchObject({ position: { partition: -1, sequence: 1 } })
  })

  test("the live read model stays as it is", async () => {
    expect(await run(questions())).toEqual(now)
  })
})

describe("what can't be asked as of", { timeout: 60_000 }, () => {
  const sentence = (asOf: string) => refusal(Analytics.use((analytics) => analytics.events({ asOf })))

  test.each([
    ["yesterday", /neither an instant nor a position/],
    ["2026-03-03", /is a day.*2026-03-03T24:00 for its end/],
    ["2026-02-30T12:00", /neither an instant nor a position/],
    ["2999-01-01T00:00", /has not come yet/],
    ["0:99", /lies beyond the end of the log: partition 0 ends at \d+\./],
    ["0:1,c:99", /the control facts ends at 3/],
    ["7:1", /names partition 7, and this log has 2/],
    ["0:1,0:2", /neither an instant nor a position/],
    ["2026-03-01T11:00:00Z", /No event was in the log at 2026-03-01T11:00:00.000Z/],
    ["0:1,c:1@00000000", /is of another log, or of this one before it was put back/],
  ])("%s", async (asOf, why) => {
    expect(await sentence(asOf)).toMatch(why)
  })
})

describe("replays", { timeout: 60_000 }, () => {
  /** Events that have to be replayed for a question. */
  const replayed = async (asOf: string) => {
    let events = 0
    const question = Analytics.use((analytics) => analytics.events({ asOf }))
    const onProgress = (done: number) => {
      events = done
    }
    await run(Effect.provideService(question, ReplayProgress, Effect.succeed({ onProgress })))
    return events
  }

  test("are kept, the last three that were asked for", async () => {
    const cuts = ["2026-03-02T13:00Z", "2026-03-03T13:00Z", "2026-03-05T12:30Z", "2026-03-05T13:30Z"]
    for (const cut of cuts) await replayed(cut)
    expect(await replayed(cuts[1]!)).toBe(0)
    expect(await replayed(cuts[0]!)).toBe(2)
    expect(await replayed(cuts[1]!)).toBe(0)
    expect(await replayed(cuts[2]!)).toBe(6)
    expect(readdirSync(join(directory, "as-of")).sort()).toEqual(["1", "2", "3"])
  })

  test("that were cut off are not answered from, and gone on with", async () => {
    const asOf = "2026-03-05T13:30Z"
    const question = Analytics.use((analytics) => analytics.events({ asOf }))
    const whole = await run(question)
    await Promise.all(["2026-03-02T13:00Z", "2026-03-03T13:00Z", "2026-03-05T12:30Z"].map((cut) => replayed(cut)))
    const onProgress = () => {
      throw new Error("the process ends here")
    }
    await expect(run(Effect.provideService(question, ReplayProgress, Effect.succeed({ onProgress })))).rejects.toThrow(
      /ends here/,
    )
    expect(await replayed(asOf)).toBe(7)
    expect(await run(question)).toEqual(whole)
  })

  test("that can't be opened are made anew", async () => {
    const asOf = "2026-03-05T13:30Z"
    const question = Analytics.use((analytics) => analytics.events({ asOf }))
    const whole = await run(question)
    for (const slot of readdirSync(join(directory, "as-of"))) {
      rmSync(join(directory, "as-of", slot, "postgres", "global"), { recursive: true, force: true })
    }
    expect(await run(question)).toEqual(whole)
  })

  test("asked for by two at once do not get into each other's way", async () => {
    const ask = Effect.gen(function* () {
      const cut = yield* resolveAsOf("2026-03-05T12:30Z")
      return yield* Replays.use((replays) =>
        replays.ask(
          cut,
          ReadModel.use((readModel) => readModel.isWhole),
        ),
      )
    })
    const another = Effect.gen(function* () {
      const log = Layer.succeed(EventLog, yield* EventLog)
      return yield* Effect.provide(ask, Replays.layer(join(directory, "shared")).pipe(Layer.provideMerge(log)), {
        local: true,
      })
    })
    expect(await run(Effect.all([another, another], { concurrency: 2 }))).toEqual([true, true])
  })
})
