import { Effect } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { chainOf, readAll } from "../../contract/eventLog.ts"
import { type NatsServer, startNatsServer } from "../../support/natsServer.ts"
import { counted, ids, idsOf, managerOf, newProject, ownServer, undo, undoAll, withLog } from "./fixtures.ts"

/** Appending to a log that has no room, or does not answer. */

/** Shared by the tests that leave it running. */
let shared: NatsServer

beforeAll(async () => {
  shared = await startNatsServer()
})

afterAll(() => shared.close())

afterEach(undoAll)

describe("appending", () => {
  test("to a full stream is refused; what is there stays, and goes on when there is room", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    const batches = chainOf(12, { size: 10_000 })
    await withLog({ server: shared, project, maxBytes: 60_000 }, (log) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(log.append(batches))
        expect(error).toMatchObject({ _tag: "LogUnavailable", retryable: true })
        expect(error.message).toBe("Could not append to the log: the stream is full (its max_bytes is reached).")
        const kept = yield* readAll(log)
        expect(ids(kept)).toEqual(idsOf(batches.slice(0, kept.length)))
        expect(kept.length).toBeGreaterThan(0)
        yield* Effect.promise(() => manager.streams.update(stream, { max_bytes: 1_000_000 }))
        yield* log.append(batches)
        expect(ids(yield* readAll(log))).toEqual(idsOf(batches))
      }),
    )
  })

  test("to a server whose disk quota is reached is refused", async () => {
    const server = await startNatsServer({ jetstream: "max_file: 60000" })
    undo.push(() => server.close())
    await withLog({ server }, (log) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(log.append(chainOf(12, { size: 10_000 })))
        expect(error.message).toBe("Could not append to the log: the server's storage for JetStream is full.")
      }),
    )
  })

  test("stops at the first batch of a partition that is refused: none after it is stored", async () => {
    const { project } = newProject()
    await withLog({ server: shared, project, partitions: 2 }, (log) =>
      Effect.gen(function* () {
        const [first, second, third, ...rest] = chainOf(30)
        const tooLarge = { ...third!, bytes: new Uint8Array(1024 * 1024 + 1) }
        const elsewhere = chainOf(3, { partition: 1 })
        yield* log.append(elsewhere.slice(0, 1))
        const error = yield* Effect.flip(log.append([first!, second!, tooLarge, ...rest, ...elsewhere.slice(1)]))
        expect(error).toMatchObject({ _tag: "LogUnavailable", retryable: false })
        expect(ids(yield* readAll(log))).toEqual([first!.id, second!.id])
      }),
    )
  })

  test("to a server that stands still fails in time, and later finds what arrived all the same", async () => {
    const server = await ownServer()
    const batches = chainOf(3)
    await withLog({ server, patience: "1 second" }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(0, 1))
        const duplicates = yield* counted("duplicates")
        server.freeze()
        const error = yield* Effect.flip(log.append(batches))
        expect(error).toMatchObject({ _tag: "LogUnavailable", retryable: true })
        expect(error.message).toBe("Could not append to the log: the server did not answer in time.")
        server.thaw()
        yield* log.append(batches)
        expect(ids(yield* readAll(log))).toEqual(idsOf(batches))
        expect((yield* counted("duplicates")) - duplicates).toBeGreaterThan(0)
      }),
    )
  })
})
