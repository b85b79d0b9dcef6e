import { rm, mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { recordSettings } from "../../src/app/control.ts"
import { layerEmbedded, type OpenError } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import type { Store } from "../../src/app/store.ts"
import { verify } from "../../src/app/verify/verify.ts"
import { pause, resume } from "../../src/app/worker/operate.ts"
import { whenProcessed } from "../../src/app/whenProcessed.ts"
import { layerWorkerAlone, type Worker } from "../../src/app/worker/worker.ts"
import { WorkerState } from "../../src/app/worker/WorkerState.ts"
import { ALL_PARTITIONS, Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"

const events = Array.from(simulate({ users: 60, days: 30, seed: 9 }), (raw) => accept(raw))

let directory: string
let runtime: ManagedRuntime.ManagedRuntime<Store | Worker, OpenError>
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-alone-"))
  runtime = ManagedRuntime.make(
    layerWorkerAlone.pipe(Layer.provideMerge(layerEmbedded({ directory: join(directory, "store"), partitions: 2 }))),
  )
})
afterAll(async () => {
  await runtime.dispose()
  await rm(directory, { recursive: true, force: true })
})

const append = (from: number, to: number) =>
  runtime.runPromise(
    Effect.gen(function* () {
      const positions = yield* (yield* LogWriter).append(events.slice(from, to))
      for (const position of positions) yield* whenProcessed(position, "30 seconds")
    }),
  )

const expectExact = async () => {
  const { differences, cells } = await runtime.runPromise(verify())
  expect(differences).toEqual([])
  expect(cells).toBeGreaterThan(0)
}

test("the embedded store is projected in the process that writes to it", async () => {
  await append(0, 300)
  await expectExact()
  await runtime.runPromise(recordSettings({ ...DEFAULT_SETTINGS, timeZone: "Asia/Tokyo" }))
  await eventually("the settings are in force, over all of history", () =>
    runtime.runPromise(
      ReadModel.use((readModel) =>
        Effect.zipWith(
          readModel.settings,
          readModel.isWhole,
          (settings, whole) => settings?.timeZone === "Asia/Tokyo" && whole,
        ),
      ),
    ),
  )
  await append(300, 600)
  await expectExact()
})

test("live does not stand still for a build that never takes over", async () => {
  // As a coordinator leaves it whose build was replaced, or that was cut off from the database when it was done.
  const pause = {
    group: null,
    partition: ALL_PARTITIONS,
    cause: "takeover",
    sentence: "Metrics are about to be ready.",
  } as const
  await runtime.runPromise(Operations.use((operations) => operations.pause(pause)))
  await append(600, 700)
  await eventually("the pause is lifted", () =>
    runtime.runPromise(
      Operations.use((operations) => Effect.map(operations.look, ({ pauses }) => pauses.length === 0)),
    ),
  )
  await expectExact()
})

test("nothing is committed any more once the operator's pause is through", async () => {
  const checkpoints = ReadModel.use((readModel) =>
    Effect.forEach([0, 1], (partition) => readModel.checkpoint(LIVE_GROUP, partition)),
  )
  for (let round = 0; round < 3; round++) {
    const from = 700 + round * 100
    // Steps are in hand while the pause comes, and events go on coming before the worker has looked.
    await append(from, from + 25)
    await runtime.runPromise(LogWriter.use((writer) => writer.append(events.slice(from + 25, from + 50))))
    await runtime.runPromise(pause(null))
    const then = await runtime.runPromise(checkpoints)
    await runtime.runPromise(LogWriter.use((writer) => writer.append(events.slice(from + 50, from + 100))))
    await eventually("every loop has seen the pause", () =>
      runtime.runPromise(
        WorkerState.use((state) =>
          Effect.map(state.snapshot, ({ partitions }) =>
            partitions.every(({ group, phase }) => group !== LIVE_GROUP || phase === "paused"),
          ),
        ),
      ),
    )
    expect(await runtime.runPromise(checkpoints)).toEqual(then)
    await runtime.runPromise(resume(null))
  }
  await append(1000, 1001)
  await expectExact()
})
