import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { layerProjectorBesideWorkers } from "../../src/app/worker/besideWorkers.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { LOG_FILE } from "../../src/infra/embedded/SqliteLog.ts"
import { accept } from "../support/accept.ts"

/** What a projector does that leaves partitions to workers. One is said to be alive, and does nothing. */

const events = Array.from(simulate({ users: 30, days: 20, seed: 12 }), (raw) => accept(raw))

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-beside-"))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const open = (name: string) => {
  const store = join(directory, name)
  const oneAlive = Layer.effect(
    Operations,
    Operations.useSync((operations) => ({ ...operations, liveWorkers: Effect.succeed(["worker:1"]) })),
  )
  const embedded = layerEmbedded({ directory: store })
  const runtime = ManagedRuntime.make(
    layerProjectorBesideWorkers.pipe(Layer.provideMerge(oneAlive), Layer.provideMerge(embedded)),
  )
  /** As a worker would. */
  const work = Projector.use((projector) => projector.project()).pipe(Effect.provide(Projector.layer))
  return { store, runtime, work }
}

const reached = ReadModel.use((readModel) => readModel.checkpoint(LIVE_GROUP, 0))

describe("rebuild beside workers", () => {
  test("keeps the only witness of a log that lost its end", async () => {
    const before = open("shortened")
    await before.runtime.runPromise(LogWriter.use((writer) => writer.append(events.slice(0, 200))))
    await before.runtime.runPromise(LogWriter.use((writer) => writer.append(events.slice(200, 250))))
    await before.runtime.runPromise(before.work)
    const stood = await before.runtime.runPromise(reached)
    expect(stood).not.toBeNull()
    await before.runtime.dispose()
    const log = new DatabaseSync(join(before.store, LOG_FILE))
    log.exec("DELETE FROM records WHERE partition = 0 AND sequence = 2")
    log.close()

    const { runtime } = open("shortened")
    const refused = await runtime.runPromise(Effect.flip(Projector.use((projector) => projector.rebuild())))
    expect(refused.message).toMatch(/Nothing was read|The log is damaged/)
    expect(await runtime.runPromise(reached)).toEqual(stood)
    await runtime.dispose()
  })
})
