import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Context, Effect, Exit, Layer, Redacted, Scope, Stream } from "effect"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { layerServers } from "../../src/app/servers.ts"
import { layerSpooledTracker } from "../../src/app/spool/layerSpooledTracker.ts"
import { Spool } from "../../src/app/spool/Spool.ts"
import { Tracker } from "../../src/app/Tracker.ts"
import { openTidemark } from "../../src/index.ts"
import { startNode } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { type Servers, startServers } from "../support/servers.ts"

/** The log goes away and comes back, for real; what was accepted is in it once, in order. */

const root = mkdtempSync(join(tmpdir(), "tidemark-spool-"))
let servers: Servers
let stories = 0
let project: string
let directory: string

beforeAll(async () => {
  servers = await startServers()
})
beforeEach(() => {
  project = `spool_${++stories}`
  directory = join(root, project)
})
afterAll(async () => {
  await servers.dispose()
  rmSync(root, { recursive: true, force: true })
})

interface Tracking {
  readonly track: (from: number, to: number) => Promise<void>
  readonly flush: () => Promise<void>
  readonly waiting: () => Promise<number>
  readonly drain: () => Promise<void>
  readonly close: () => Promise<void>
}

const nats = () => ({ servers: servers.nats.url, project, partitions: 1 })

/** A tracker as a program has it; `id` sets its events apart. */
const openTracker = async (id: string, maxBytes = 2 ** 30, options = nats()): Promise<Tracking> => {
  const scope = Scope.makeUnsafe()
  const layer = layerSpooledTracker(options, { directory, maxBytes }, { batchSize: 1_000_000, queueMax: 1_000_000 })
  const context = await Effect.runPromise(Layer.build(Layer.fresh(layer)).pipe(Scope.provide(scope)))
  const tracker = Context.get(context, Tracker)
  const spool = Context.get(context, Spool)
  return {
    track: (from, to) =>
      Effect.runPromise(
        Effect.forEach(
          Array.from({ length: to - from }, (_, n) => from + n),
          (n) => tracker.track({ event: "page_view", userId: "ada", id: `${id}-${n}`, properties: { n } }),
          { discard: true },
        ),
      ),
    flush: () => Effect.runPromise(tracker.flush),
    waiting: () => Effect.runPromise(spool.waiting),
    drain: () => Effect.runPromise(spool.drain),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  }
}

const storeLayer = () =>
  layerServers({ nats: nats(), postgres: { url: Redacted.make(servers.postgres.url()), schema: project } })

/** Ids of all events in the log, in order, and what the projection counts of them. */
const inLog = () =>
  Effect.runPromise(
    Effect.gen(function* () {
      const batches = yield* Stream.runCollect(readBatches(0))
      const { events, duplicates } = yield* Projector.use((projector) => projector.project())
      return { ids: batches.flatMap(({ batch }) => batch.ids), counted: events - duplicates, duplicates }
    }).pipe(Effect.provide(storeLayer())),
  )

const numbered = (id: string, to: number) => Array.from({ length: to }, (_, n) => `${id}-${n}`)

/** Nothing waits any more. */
const drained = (tracking: Tracking) => eventually("the spool is empty", async () => (await tracking.waiting()) === 0)

describe("an outage of the log", () => {
  test("events wait while it is away and follow when it is back: all, once, in order", async () => {
    const tracking = await openTracker("e")
    await tracking.track(0, 100)
    await tracking.flush()
    expect(await tracking.waiting()).toBe(0)
    await servers.nats.stop()
    for (let n = 100; n < 400; n += 50) {
      await tracking.track(n, n + 50)
      await tracking.flush()
    }
    expect(await tracking.waiting()).toBeGreaterThan(0)
    await servers.nats.start()
    // Those that come now stand behind those that wait.
    await tracking.track(400, 450)
    await tracking.flush()
    await drained(tracking)
    await tracking.track(450, 500)
    await tracking.flush()
    expect(await tracking.waiting()).toBe(0)
    await tracking.close()
    expect(await inLog()).toEqual({ ids: numbered("e", 500), counted: 500, duplicates: 0 })
  })

  test("what comes while it is tried again doesn't wait for that", async () => {
    const tracking = await openTracker("e")
    await tracking.track(0, 50)
    await tracking.flush()
    servers.nats.freeze()
    await tracking.track(50, 100)
    await tracking.flush()
    let tried = false
    const trial = tracking.drain().catch(() => (tried = true))
    await tracking.track(100, 150)
    await tracking.flush()
    expect(tried).toBe(false)
    servers.nats.thaw()
    await trial
    await drained(tracking)
    await tracking.close()
    const { ids } = await inLog()
    // What a log that stood still had taken in all the same is sent again.
    expect([...new Set(ids)]).toEqual(numbered("e", 150))
  })

  test("a program can start while it is away", async () => {
    await servers.nats.stop()
    const tracking = await openTracker("e")
    await tracking.track(0, 20)
    await tracking.flush()
    await servers.nats.start()
    await drained(tracking)
    await tracking.close()
    expect(await inLog()).toMatchObject({ ids: numbered("e", 20), counted: 20 })
  })

  test("what would not pass by itself fails at the start", async () => {
    await expect(openTracker("e", 2 ** 30, { ...nats(), project: "no name" })).rejects.toThrow(/project's name/)
  })

  test("beyond the bound events are refused, in a sentence; with the log back the same go in, once", async () => {
    await servers.nats.stop()
    const tracking = await openTracker("e", 3000)
    let held = 0
    const fill = async () => {
      for (;;) {
        await tracking.track(held, held + 20)
        held += 20
        await tracking.flush()
      }
    }
    await expect(fill()).rejects.toThrow(/the spool in .* is full \(3000 bytes\)/)
    await expect(tracking.flush()).rejects.toMatchObject({ _tag: "SpoolFull" })
    await servers.nats.start()
    await drained(tracking)
    await tracking.flush()
    await tracking.close()
    expect(await inLog()).toEqual({ ids: numbered("e", held), counted: held, duplicates: 0 })
  })

  test("killed while events wait: the next process sends all that were acknowledged", async () => {
    await servers.nats.stop()
    const script = fileURLToPath(new URL("../crash/spooler.ts", import.meta.url))
    const child = startNode(script, [servers.nats.url, project, directory])
    let acknowledged = -1
    createInterface(child.stdout!).on("line", (line) => (acknowledged = Number(line)))
    await eventually("some events are durable", async () => acknowledged >= 30)
    child.kill("SIGKILL")
    await once(child, "exit")
    const sent = acknowledged + 1
    const tracking = await openTracker("after")
    expect(await tracking.waiting()).toBeGreaterThan(0)
    await servers.nats.start()
    await drained(tracking)
    await tracking.close()
    const { ids, counted, duplicates } = await inLog()
    expect(ids.slice(0, sent)).toEqual(numbered("killed", sent))
    // One more may have been made durable and not been told.
    expect(counted).toBeLessThanOrEqual(sent + 1)
    expect(duplicates).toBe(0)
  })

  test("sent twice, since a crash came between, each event counts once", async () => {
    await servers.nats.stop()
    const tracking = await openTracker("e")
    await tracking.track(0, 50)
    await tracking.flush()
    await tracking.close()
    cpSync(directory, `${directory}-copy`, { recursive: true })
    await servers.nats.start()
    const first = await openTracker("x")
    await drained(first)
    await first.close()
    rmSync(directory, { recursive: true })
    cpSync(`${directory}-copy`, directory, { recursive: true })
    const second = await openTracker("x")
    await drained(second)
    await second.close()
    expect(await inLog()).toEqual({ ids: [...numbered("e", 50), ...numbered("e", 50)], counted: 50, duplicates: 50 })
  })

  test("processes share the directory; what one leaves behind another sends", async () => {
    await servers.nats.stop()
    const first = await openTracker("first")
    const second = await openTracker("second")
    await second.track(0, 10)
    await second.flush()
    await second.close()
    await servers.nats.start()
    // The second's spool is not the one that the third opens, since the first's is free before it.
    await first.close()
    const third = await openTracker("third")
    await eventually("the log has them", async () => (await inLog()).counted === 10)
    await third.close()
  })
})

describe("openTidemark on servers", () => {
  test("tracks through an outage, and answers when the log is back", async () => {
    const env = {
      TIDEMARK_NATS_URL: servers.nats.url,
      TIDEMARK_POSTGRES_URL: servers.postgres.url(),
      TIDEMARK_PROJECT: project,
      TIDEMARK_POSTGRES_SCHEMA: project,
      TIDEMARK_SPOOL_DIR: directory,
    }
    Object.assign(process.env, env)
    try {
      const before = await openTidemark()
      await before.track({ event: "page_view", userId: "ada", timestamp: "2026-03-02T10:00:00Z" })
      expect((await before.activeUsers()).total).toEqual({ users: 1, events: 1 })
      await before.close()
      await servers.nats.stop()
      const tidemark = await openTidemark()
      await tidemark.track({ event: "page_view", userId: "bob", timestamp: "2026-03-02T10:00:00Z" })
      await tidemark.flush()
      await expect(tidemark.activeUsers()).rejects.toMatchObject({ _tag: "NotDrained" })
      await servers.nats.start()
      const total = await eventually("an answer", () =>
        tidemark.activeUsers().then(
          ({ total }) => total,
          () => undefined,
        ),
      )
      expect(total).toEqual({ users: 2, events: 2 })
      await tidemark.close()
    } finally {
      for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name)
    }
  })
})
