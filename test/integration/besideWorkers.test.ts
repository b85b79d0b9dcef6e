import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Fiber, Latch, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector, type ProjectOptions } from "../../src/app/projection/Projector.ts"
import { layerProjectorBesideWorkers } from "../../src/app/worker/besideWorkers.ts"
import { COORDINATOR } from "../../src/app/worker/coordinator.ts"
import { pause, resume } from "../../src/app/worker/operate.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { CONTROL_PARTITION } from "../../src/domain/log/EventLog.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { LOG_FILE } from "../../src/infra/embedded/SqliteLog.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"

/** What a projector does that leaves partitions to workers. One is said to be alive, and does nothing. */

const events = Array.from(simulate({ users: 30, days: 20, seed: 12 }), (raw) => accept(raw))

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-beside-"))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** `onLook` is told whenever somebody asks for the workers. */
const open = (name: string, onLook: () => void = () => undefined, alive: ReadonlyArray<string> = ["worker:1"]) => {
  const store = join(directory, name)
  const liveWorkers = Effect.sync(() => {
    onLook()
    return alive
  })
  const oneAlive = Layer.effect(
    Operations,
    Operations.useSync((operations) => ({ ...operations, liveWorkers })),
  )
  const embedded = layerEmbedded({ directory: store })
  const runtime = ManagedRuntime.make(
    layerProjectorBesideWorkers.pipe(Layer.provideMerge(oneAlive), Layer.provideMerge(embedded)),
  )
  /** As a worker would. */
  const work = Projector.use((projector) => projector.project()).pipe(Effect.provide(Projector.layer))
  return { store, runtime, work }
}

const projecting = (options?: ProjectOptions) => Projector.use((projector) => projector.project(options))

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

  test("forgets what they could not go on from, also where none is alive to do it", async () => {
    const { runtime, work } = open("stopped", undefined, [])
    await runtime.runPromise(work)
    const stop = { group: LIVE_GROUP, partition: 0, owner: "worker:1", sentence: "The log is damaged." }
    await runtime.runPromise(Operations.use((operations) => operations.stop(stop)))
    await runtime.runPromise(Projector.use((projector) => projector.rebuild()))
    expect((await runtime.runPromise(Operations.use(({ look }) => look))).stops).toEqual([])
    await runtime.dispose()
  })

  test("is refused while they are paused, before anything is emptied", async () => {
    const { runtime, work } = open("paused")
    await runtime.runPromise(LogWriter.use((writer) => writer.append(events.slice(0, 50))))
    await runtime.runPromise(work)
    const stood = await runtime.runPromise(reached)
    await runtime.runPromise(pause(null))
    const refused = await runtime.runPromise(Effect.flip(Projector.use((projector) => projector.rebuild())))
    expect(refused.message).toMatch(/Paused by .* The read model was left as it is\./)
    expect(await runtime.runPromise(reached)).toEqual(stood)
    await runtime.dispose()
  })
})

describe("to wait for workers", () => {
  test("ends when the control facts have gone past the one that it waited for", async () => {
    let looks = 0
    const waits = Latch.makeUnsafe()
    // The first time is the question whether there are workers, the next is the end of a look that found work left.
    const { runtime, work } = open("overtaken", () => {
      if (++looks === 2) waits.openUnsafe()
    })
    const metric = (name: string) => [{ name, version: 1, formula: { kind: "event-count" } }] as const
    await runtime.runPromise(
      Effect.gen(function* () {
        yield* LogWriter.use((writer) => writer.append(events.slice(0, 50)))
        yield* work
        yield* recordDefinitions(metric("one"))
        const waiting = yield* Effect.forkChild(projecting())
        yield* waits.await
        yield* recordDefinitions(metric("two"))
        yield* work
        expect(yield* Fiber.join(waiting)).toMatchObject({ workers: 1 })
      }),
    )
    await runtime.dispose()
  })

  test("is to wait for what is asked for, and to say why it does not come", async () => {
    const { runtime, work } = open("building")
    const run = <A, E>(effect: Effect.Effect<A, E, ManagedRuntime.ManagedRuntime.Services<typeof runtime>>) =>
      runtime.runPromise(effect)
    const question = () => run(projecting({ awaitBuilds: false }))
    const whyNot = async (options?: ProjectOptions) => {
      const error = await run(Effect.flip(projecting(options)))
      expect(error._tag).toBe("WorkersStandStill")
      return error.message
    }
    await run(LogWriter.use((writer) => writer.append(events.slice(0, 100))))
    await run(work)
    await run(recordDefinitions([{ name: "clicks", version: 1, formula: { kind: "event-count" } }]))
    const build = await run(
      Effect.gen(function* () {
        const plan = yield* prepare
        return plan.versions.find(({ state }) => state === "building")!.group
      }),
    )
    expect(await question()).toMatchObject({ workers: 1, built: [] })

    // Live has nothing left to do, and a pause of everything holds up the build only.
    await run(pause(null))
    expect(await whyNot()).toMatch(/^The workers don't go on: Paused by /)
    expect(await question()).toMatchObject({ workers: 1 })
    await run(resume(null))

    const overrun = { group: build, partition: 0, cause: "budget", sentence: "Too many can't be folded." } as const
    await run(Operations.use((operations) => operations.pause(overrun)))
    expect(await whyNot()).toMatch(/Too many can't be folded/)
    await question()
    await run(resume(null))

    const failed = { group: build, partition: 0, owner: "worker:1", sentence: "The build can't go on." }
    await run(Operations.use((operations) => operations.stop(failed)))
    expect(await whyNot()).toMatch(/The build can't go on/)
    await question()

    // With everything projected, too: the log may be shorter than what was projected.
    const halted = {
      group: COORDINATOR,
      partition: CONTROL_PARTITION,
      owner: "worker:1",
      sentence: "The log is damaged.",
    }
    await run(Operations.use((operations) => operations.stop(halted)))
    expect(await whyNot({ awaitBuilds: false })).toMatch(/The log is damaged/)
    await run(resume(null))

    await run(work)
    expect(await run(projecting())).toMatchObject({ workers: 1 })
    await runtime.dispose()
  })
})

test.each(["project", "rebuild"] as const)(
  "%s that is overtaken by a worker that was just started is left to it",
  async (verb) => {
    let alive: ReadonlyArray<string> = []
    let overtakes = true
    const embedded = layerEmbedded({ directory: join(directory, `overtaken-${verb}`) })
    const claimedBefore = Layer.effect(
      ReadModel,
      ReadModel.useSync((readModel) => ({
        ...readModel,
        commit: (step, settle) =>
          Effect.suspend(() => {
            if (!overtakes) return readModel.commit(step, settle)
            overtakes = false
            alive = ["worker:1"]
            return Effect.andThen(readModel.claim(LIVE_GROUP, 0, "worker:1"), readModel.commit(step, settle))
          }),
      })),
    )
    const someAlive = Layer.effect(
      Operations,
      Operations.useSync((operations) => ({ ...operations, liveWorkers: Effect.sync(() => alive) })),
    )
    // The store has a projector of its own, which would be taken for the one within.
    const projector = Layer.fresh(layerProjectorBesideWorkers).pipe(Layer.provide(claimedBefore))
    const runtime = ManagedRuntime.make(projector.pipe(Layer.provideMerge(someAlive), Layer.provideMerge(embedded)))
    await runtime.runPromise(LogWriter.use((writer) => writer.append(events)))
    const projected = runtime.runPromise(Projector.use((projector) => projector[verb]()))
    // The worker does it, once it is there.
    await eventually("it was overtaken", async () => alive.length > 0)
    await runtime.runPromise(Projector.use((it) => it.project()).pipe(Effect.provide(Projector.layer)))
    expect(await projected).toMatchObject({ workers: 1 })
    await runtime.dispose()
  },
)
