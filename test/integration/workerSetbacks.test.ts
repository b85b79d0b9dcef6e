import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Analytics } from "../../src/app/Analytics.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { status } from "../../src/app/status/status.ts"
import { openRecord } from "../../src/app/readBatches.ts"
import { verify } from "../../src/app/verify/verify.ts"
import { Attempts } from "../../src/app/worker/Attempts.ts"
import { makeIsolation } from "../../src/app/worker/isolation.ts"
import { whenProcessed } from "../../src/app/whenProcessed.ts"
import { layerWorkerAlone } from "../../src/app/worker/worker.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import type { Position } from "../../src/domain/log/position.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { ReadModelUnavailable } from "../../src/domain/projection/errors.ts"
import { EVERY_MEASURE, Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"

/** Setbacks of workers: what those leave behind that ended without a word, and answers that come late. */

const event = (id: string, user: string, name: string) =>
  accept({ id, type: "track", event: name, userId: user, timestamp: `2026-01-0${Number(id) + 1}T12:00:00Z` })

const toClick = (name: string): MetricDefinition => ({
  name,
  version: 1,
  formula: { kind: "funnel", steps: [{ event: "page_view" }, { event: "click" }] },
})

const directory = await mkdtemp(join(tmpdir(), "tidemark-setbacks-"))
const store = ManagedRuntime.make(
  Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory: join(directory, "store") }))),
)
const run = store.runPromise
beforeAll(() => run(Effect.void))
afterAll(async () => {
  await store.dispose()
  await rm(directory, { recursive: true, force: true })
})

/** Leaves the marks of workers that ended twice while they handled one event. */
const deaths = (group: string, sequence: number, place: number) =>
  Operations.use((operations) =>
    Effect.andThen(
      operations.beginTrial(group, 0, { sequence, first: place, last: place + 1 }),
      operations.beginAttempt(group, 0),
    ),
  )

/** What becomes true while a worker runs. */
const working = (until: Effect.Effect<boolean, unknown, Operations | ReadModel>) =>
  run(
    Effect.promise(() => eventually("the worker has done it", () => run(until))).pipe(Effect.provide(layerWorkerAlone)),
  )

const failures = ReadModelQueries.use((queries) => queries.failures)
const isLive = (name: string) =>
  ReadModel.use((readModel) => readModel.measures).pipe(
    Effect.map((versions) => versions.some(({ definition, state }) => definition.name === name && state === "live")),
  )

test("an event that ends a build stays in the numbers that are live", async () => {
  await run(LogWriter.use((writer) => writer.append([event("0", "ada", "page_view"), event("1", "ada", "click")])))
  await run(Projector.use((projector) => projector.project()))
  await run(recordDefinitions([toClick("to_click")]))
  const build = (await run(prepare)).versions.find(({ state }) => state === "building")!.group
  await run(deaths(build, 1, 1))
  await working(isLive("to_click"))

  expect(await run(failures)).toMatchObject([{ sequence: 1, place: 1, metric: "to_click" }])
  const { steps } = await run(Analytics.use((analytics) => analytics.funnel({ name: "to_click" })))
  expect(steps.map(({ users }) => users)).toEqual([1, 0])
  const about = { date: "2026-01-01", item: "1" }
  const explained = await run(Analytics.use((analytics) => analytics.explain("to_click", about)))
  expect(explained.events.listed.map(({ name, counts }) => [name, counts])).toEqual([["page_view", true]])
  expect((await run(Analytics.use((analytics) => analytics.activeUsers()))).total.events).toBe(2)
  expect((await run(verify())).differences).toEqual([])
  expect((await run(status())).balance).toMatchObject({ accepted: 2, projected: 2, quarantined: 0, holds: true })
})

test("an event that ends live is in no answer, also where it is read from the log", async () => {
  const [position] = await run(
    LogWriter.use((writer) => writer.append([event("2", "eve", "page_view"), event("3", "eve", "click")])),
  )
  await run(deaths(LIVE_GROUP, position!.sequence, 1))
  await run(whenProcessed(position!, "30 seconds").pipe(Effect.provide(layerWorkerAlone)))

  expect((await run(failures)).at(-1)).toMatchObject({ sequence: position!.sequence, place: 1, metric: EVERY_MEASURE })
  const adHoc = await run(Analytics.use((analytics) => analytics.funnel({ formula: toClick("").formula })))
  // Of Ada's, to_click alone leaves the click out.
  expect(adHoc.steps.map(({ users }) => users)).toEqual([2, 1])
  expect(await run(Analytics.use((analytics) => analytics.user("eve")))).toMatchObject({ totalEvents: 1, clicks: 0 })
  expect((await run(verify())).differences).toEqual([])
})

test("an outage of the database is no death", async () => {
  let away = true
  const unavailable = new ReadModelUnavailable({ attempted: "end an attempt", reason: "it is away", retryable: true })
  const broken = Layer.effect(
    Operations,
    Operations.useSync((operations) => ({
      ...operations,
      endAttempt: (...of: Parameters<typeof operations.endAttempt>) =>
        Effect.suspend(() => (away ? unavailable : operations.endAttempt(...of))),
    })),
  )
  await run(
    Effect.gen(function* () {
      const attempts = yield* Attempts
      expect((yield* attempts.begin("build-9", 0)).count).toBe(1)
      yield* Effect.flip(attempts.end("build-9", 0))
      away = false
      expect((yield* attempts.begin("build-9", 0)).count).toBe(1)
      yield* attempts.end("build-9", 0)
    }).pipe(Effect.provide(Attempts.layer.pipe(Layer.provide(broken)))),
  )
})

test("what came into the log after the deaths is not handled batch by batch", async () => {
  const append = (...events: ReadonlyArray<ReturnType<typeof event>>) =>
    LogWriter.use((writer) => writer.append(events)).pipe(Effect.map(([position]) => position!))
  const alone = await run(
    Effect.gen(function* () {
      const rehearse = () => Effect.die("nothing is suspected")
      const opened = Effect.fnUntraced(function* (position: Position) {
        const record = yield* (yield* EventLog).at(0, position.sequence)
        return { position, batch: yield* openRecord(record!) }
      })
      const before = yield* append(event("5", "ada", "click"))
      const { beginAttempt } = yield* Operations
      for (let death = 0; death < 2; death++) yield* beginAttempt(LIVE_GROUP, 0)
      const isolation = yield* makeIsolation(LIVE_GROUP, 0, [EVERY_MEASURE], new Map())
      const first = yield* isolation.before(yield* opened(before), { rehearse })
      const second = yield* isolation.before(yield* opened(yield* append(event("6", "ada", "click"))), { rehearse })
      yield* isolation.ended
      return [first, second]
    }).pipe(Effect.provide(Attempts.layer)),
  )
  expect(alone).toEqual([true, false])
})

test("a look that was under way while a partition was claimed does not end the claim", async () => {
  let looks = 0
  const counted = Layer.effect(
    Operations,
    Operations.useSync((operations) => ({
      ...operations,
      look: Effect.tap(operations.look, () => Effect.sync(() => void looks++)),
    })),
  )
  /** Claims take so long that looks begin and end meanwhile, the worker's own among them. */
  const slow = Layer.effect(
    ReadModel,
    ReadModel.useSync((readModel) => ({
      ...readModel,
      claim: (...of: Parameters<typeof readModel.claim>) =>
        Effect.suspend(() => {
          const enough = looks + 4
          return Effect.promise(() => eventually("it is looked", async () => looks >= enough))
        }).pipe(Effect.andThen(readModel.claim(...of))),
    })),
  )
  const [position] = await run(LogWriter.use((writer) => writer.append([event("4", "joe", "click")])))
  await run(
    whenProcessed(position!, "20 seconds").pipe(
      Effect.provide(layerWorkerAlone.pipe(Layer.provide(Layer.merge(counted, slow)))),
    ),
  )
})
