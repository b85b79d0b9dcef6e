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
import { verify } from "../../src/app/verify.ts"
import { whenProcessed } from "../../src/app/worker/whenProcessed.ts"
import { layerWorkerAlone } from "../../src/app/worker/worker.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
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
