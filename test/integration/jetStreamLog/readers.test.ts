import { cpSync, rmSync } from "node:fs"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { openJetStreamLog } from "../../../src/infra/nats/JetStreamLog.ts"
import { openNats } from "../../../src/infra/nats/NatsConnection.ts"
import { openPull } from "../../../src/infra/nats/Pull.ts"
import { chainOf, failureOf, readAll } from "../../contract/eventLog.ts"
import { type NatsServer, startNatsCluster, startNatsServer } from "../../support/natsServer.ts"
import { startProxy } from "../../support/tcpProxy.ts"
import {
  copyOf,
  counted,
  following,
  ids,
  idsOf,
  managerOf,
  newProject,
  ownServer,
  putBackAndWriteOn,
  undo,
  undoAll,
  withLog,
} from "./fixtures.ts"

/** Readers of a log while its server, or its stream, meets with something. */

/** Shared by the tests that leave it running. */
let shared: NatsServer

beforeAll(async () => {
  shared = await startNatsServer()
})

afterAll(() => shared.close())

afterEach(undoAll)

describe("under a reader that follows", () => {
  test("the server crashes and comes back: nothing is skipped, nothing comes twice", async () => {
    const server = await ownServer()
    const batches = chainOf(40, { size: 2000 })
    await withLog({ server }, (log) =>
      Effect.gen(function* () {
        const lost = yield* counted("disconnects")
        const back = yield* counted("reconnects")
        const { seen, until } = yield* following(log)
        for (const [n, batch] of batches.entries()) {
          if (n % 15 === 10) {
            yield* until(n)
            // The append meets a server that is away, and waits for it.
            yield* Effect.promise(() => server.kill())
            yield* Effect.forkChild(Effect.promise(() => server.start()))
          }
          yield* log.append([batch])
        }
        yield* until(batches.length)
        expect(ids(seen)).toEqual(idsOf(batches))
        expect(ids(yield* readAll(log))).toEqual(idsOf(batches))
        expect((yield* counted("disconnects")) - lost).toBe(2)
        expect((yield* counted("reconnects")) - back).toBe(2)
      }),
    )
  })

  test("the server is away while the clock is put back by an hour: an append gives up in time, and the reader is back with it", async () => {
    const server = await ownServer()
    const batches = chainOf(4)
    const clock = Date.now
    undo.push(() => (Date.now = clock))
    await withLog({ server, patience: "2 seconds" }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(0, 2))
        const { seen, until } = yield* following(log)
        yield* until(2)
        server.freeze()
        const tried = yield* counted("publishRetries")
        const append = yield* log.append(batches.slice(2)).pipe(Effect.flip, Effect.forkScoped)
        yield* Effect.yieldNow
        yield* Effect.promise(() => server.kill())
        yield* counted("publishRetries").pipe(
          Effect.repeat({ until: (now) => now > tried, schedule: Schedule.spaced("20 millis") }),
        )
        Date.now = () => clock() - 3_600_000
        expect((yield* Fiber.join(append))._tag).toBe("LogUnavailable")
        yield* Effect.promise(() => server.start())
        yield* log.append(batches.slice(2))
        yield* until(4)
        expect(ids(seen)).toEqual(idsOf(batches))
      }),
    )
  })

  test("an older copy of the store is put back: found and named, by the reader and by the writer", async () => {
    const server = await ownServer()
    const batches = chainOf(8)
    const longer = chainOf(20, { writer: "later" })
    await withLog({ server }, (log) => log.append(batches.slice(0, 4)))
    const older = await copyOf(server)
    await withLog({ server }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(4))
        const shortly = yield* following(log)
        yield* shortly.until(8)
        yield* Effect.promise(async () => {
          await server.stop()
          rmSync(server.storeDirectory, { recursive: true })
          cpSync(older, server.storeDirectory, { recursive: true })
          await server.start()
        })
        const error = yield* shortly.failure
        expect(error._tag).toBe("LogDamaged")
        expect(error.message).toContain("put back to an older copy")
        expect(error.message).toContain("The log is damaged at 0/4: ")
        const refused = yield* Effect.flip(log.append(chainOf(1, { writer: "other" })))
        expect(refused._tag).toBe("LogDamaged")
        expect(yield* Effect.flip(log.prove)).toMatchObject({ _tag: "LogDamaged", sequence: 4 })
      }),
    )
    // Numbers that were read are given out again: the record at the reader's place is another one now.
    await withLog({ server }, (log) =>
      Effect.gen(function* () {
        yield* log.append(longer)
        expect(ids(yield* readAll(log, 0, 3)).slice(0, 2)).toEqual(["w.0.4", "later.0.1"])
      }),
    )
  })

  describe("a copy is put back and grows past the reader's place before the reader is back", () => {
    const problem =
      "The log is damaged at 0/8: batch later.0.4 stands where w.0.8 was read: the log was put back to an older copy"
    const batches = chainOf(8)
    const later = chainOf(20, { writer: "later" })

    const withCopy = async () => {
      const server = await ownServer()
      await withLog({ server }, (log) => log.append(batches.slice(0, 4)))
      return { server, copy: await copyOf(server) }
    }

    test("and it has read up to there", async () => {
      const { server, copy } = await withCopy()
      await withLog({ server }, (log) =>
        Effect.gen(function* () {
          yield* log.append(batches.slice(4))
          const { seen, until, failure } = yield* following(log)
          yield* until(8)
          yield* Effect.promise(() => putBackAndWriteOn(server, copy, later))
          yield* Effect.promise(() => server.start())
          expect((yield* failure).message).toContain(problem)
          expect(ids(seen)).toEqual(idsOf(batches))
        }),
      )
    })

    test("and it has read nothing since it began after a record", async () => {
      const { server, copy } = await withCopy()
      await withLog({ server }, (log) =>
        Effect.gen(function* () {
          yield* log.append(batches.slice(4))
          const { seen, failure } = yield* following(log, (yield* log.at(0, 8))!)
          yield* Effect.promise(() => putBackAndWriteOn(server, copy, later))
          yield* Effect.promise(() => server.start())
          expect((yield* failure).message).toContain(problem)
          expect(seen).toEqual([])
        }),
      )
    })

    test.each(["read", "follow"] as const)("and it was about to begin: %s", async (way) => {
      const { server, copy } = await withCopy()
      const proxy = await startProxy(server.port)
      undo.push(() => proxy.close())
      await withLog({ server: { ...server, url: `nats://127.0.0.1:${proxy.port}` } }, (log) =>
        Effect.gen(function* () {
          yield* log.append(batches.slice(4))
          const lastRead = (yield* log.at(0, 8))!
          yield* log.append(chainOf(1, { writer: "more" }))
          const stalls = proxy.stallAt("$JS.API.CONSUMER.CREATE.")
          const reader = yield* log[way](0, lastRead).pipe(Stream.runDrain, Effect.flip, Effect.forkScoped)
          yield* Effect.promise(async () => {
            await stalls
            await putBackAndWriteOn(server, copy, later)
            await server.start()
            proxy.resume()
          })
          expect((yield* Fiber.join(reader)).message).toContain(problem)
        }),
      )
    })
  })

  test("the server stands still while the connection holds: noticed by its silence, and put right", async () => {
    const server = await ownServer()
    const batches = chainOf(4)
    await withLog({ server, patience: "1 second" }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(0, 2))
        const { seen, until } = yield* following(log)
        yield* until(2)
        const missed = yield* counted("heartbeatsMissed")
        server.freeze()
        yield* counted("heartbeatsMissed").pipe(
          Effect.repeat({ until: (now) => now > missed, schedule: Schedule.spaced("100 millis") }),
        )
        server.thaw()
        yield* log.append(batches.slice(2))
        yield* until(4)
        expect(ids(seen)).toEqual(idsOf(batches))
      }),
    )
  })

  test("the server lets a request end without a word: what comes then comes at once", async () => {
    const server = await ownServer()
    const proxy = await startProxy(Number(new URL(server.url).port))
    undo.push(() => proxy.close())
    const swallowed = proxy.swallow(/HMSG \S+ \d+ +\d+ \d+\r\nNATS\/1\.0 408 (?:[^\r]*\r\n)+?\r\n\r\n/)
    const batches = chainOf(2)
    await withLog({ server: { ...server, url: `nats://127.0.0.1:${proxy.port}` } }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(0, 1))
        const { seen, until } = yield* following(log)
        yield* until(1)
        yield* Effect.repeat(Effect.sync(swallowed), { until: (n) => n > 0, schedule: Schedule.spaced("20 millis") })
        const resets = yield* counted("readerResets")
        yield* log.append(batches.slice(1))
        yield* until(2)
        expect(ids(seen)).toEqual(idsOf(batches))
        expect(yield* counted("readerResets")).toBe(resets)
      }),
    )
  })

  test("its place can't be proven when the first records have come: they come again", async () => {
    const server = await ownServer()
    const proxy = await startProxy(server.port)
    undo.push(() => proxy.close())
    const batches = chainOf(6)
    const through = { ...server, url: `nats://127.0.0.1:${proxy.port}` }
    await withLog({ server: through, patience: "1 second" }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches)
        const second = (yield* log.at(0, 2))!
        const stalls = proxy.stallAt("$JS.API.CONSUMER.CREATE.")
        const { seen, until } = yield* following(log, second)
        yield* Effect.promise(() => stalls)
        const answer = /MSG \S+ \d+ \d+\r\n\{"type":"io.nats.jetstream.api.v1.stream_msg_get_response"[^]*?\r\n/
        const swallowed = proxy.swallow(answer)
        proxy.resume()
        yield* Effect.repeat(Effect.sync(swallowed), { until: (n) => n > 1, schedule: Schedule.spaced("20 millis") })
        expect(seen).toEqual([])
        proxy.swallow(/(?!)/)
        yield* until(4)
        expect(ids(seen)).toEqual(idsOf(batches.slice(2)))
      }),
    )
  })

  test("the stream is deleted", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    await withLog({ server: shared, project, patience: "1 second" }, (log) =>
      Effect.gen(function* () {
        yield* log.append(chainOf(2))
        const { until, failure } = yield* following(log)
        yield* until(2)
        yield* Effect.promise(() => manager.streams.delete(stream))
        const error = yield* failure
        expect(error._tag).toBe("LogDamaged")
        expect(error.message).toContain(`The log is damaged at 0/2: the stream ${stream} is gone: it was deleted.`)
        expect((yield* Effect.flip(log.append(chainOf(1)))).message).toBe(
          `Could not append to the log: the stream ${stream} is gone: it was deleted.`,
        )
      }),
    )
  })

  test("the stream is deleted and made anew", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(chainOf(2))
        const { until, failure } = yield* following(log)
        yield* until(2)
        const { config } = yield* Effect.promise(() => manager.streams.info(stream))
        const other = config.description!.replace(log.incarnation, "00000000-0000-4000-8000-000000000000")
        yield* Effect.promise(async () => {
          await manager.streams.delete(stream)
          await manager.streams.add({ ...config, description: other })
        })
        expect((yield* failure).message).toContain(
          `the stream ${stream} is another log now (00000000-0000-4000-8000-000000000000, not ${log.incarnation})`,
        )
        const appended = yield* Effect.flip(log.append(chainOf(1, { writer: "other" })))
        expect(appended.message).toContain("was put back to an older copy or made anew")
        expect((yield* Effect.flip(log.status)).message).toContain("is another log now")
      }),
    )
  })

  test("the stream is purged: it goes on with what comes", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    const batches = chainOf(6)
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(0, 3))
        const { seen, until } = yield* following(log)
        yield* until(3)
        yield* Effect.promise(() => manager.streams.purge(stream))
        expect(yield* log.begins(0)).toBe(4)
        yield* log.prove
        expect(yield* log.status).toEqual([])
        expect(yield* readAll(log)).toEqual([])
        yield* log.append(batches.slice(3))
        yield* until(6)
        expect(ids(seen)).toEqual(idsOf(batches))
        expect(ids(yield* readAll(log))).toEqual(idsOf(batches.slice(3)))
      }),
    )
  })
})

test.each([
  ["pull", "publish", "$JS.API.CONSUMER.MSG.NEXT.>"],
  ["subscribe to its inbox", "subscribe", "_INBOX.*"],
])("a reader that may not %s is told so", async (_, operation, subject) => {
  const permissions = `{ ${operation}: { deny: "${subject}" } }`
  const users = `[{ user: all, password: x }, { user: some, password: x, permissions: ${permissions} }]`
  const server = await startNatsServer({ config: `authorization { users: ${users} }` })
  undo.push(() => server.close())
  const as = (user: string) => ({ ...server, url: server.url.replace("//", `//${user}:x@`) })
  await withLog({ server: as("all") }, (log) => log.append(chainOf(2)))
  const error = await failureOf(
    Effect.scoped(
      Effect.flatMap(openJetStreamLog({ servers: as("some").url, patience: "1 second" }), (log) => readAll(log)),
    ),
  )
  expect(error._tag).toBe("LogUnavailable")
  expect(error.message).toMatch(
    /^Could not read the log: the server answers and delivers nothing; this user must be allowed to publish to/,
  )
})

test("a server that is behind gives what was read before: it is passed over", async () => {
  const { project } = newProject()
  const batches = chainOf(8)
  const records = await withLog({ server: shared, project }, (log) =>
    Effect.gen(function* () {
      yield* log.append(batches.slice(0, 4))
      // It has 4, so a delivery from the seventh on begins at the fifth.
      const connection = yield* openNats({ servers: shared.url }, 1000)
      const manager = yield* Effect.promise(() => jetstreamManager(connection.nats, { checkAPI: false }))
      const pull = yield* openPull(connection, manager, {
        stream: `tidemark_${project}`,
        subject: `tidemark.${project}.0`,
        from: 7,
        expiresMillis: 5000,
      })
      const taken = yield* Effect.forkScoped(pull.take)
      yield* log.append(batches.slice(4))
      return yield* Fiber.join(taken)
    }),
  )
  expect(records[0]).toMatchObject({ sequence: 7, batchId: "w.0.7" })
})

test("a cluster whose server comes back with an older copy makes the reader's consumer anew: that is not believed", async () => {
  const servers = await startNatsCluster(3, { advertise: false })
  for (const server of servers) undo.push(() => server.close())
  const batches = chainOf(8)
  const one = { partitions: 1, replicas: 1, patience: "60 seconds" } as const
  await withLog({ server: servers[0]!, ...one }, (log) => log.append(batches.slice(0, 4)))
  const { nats, manager } = await managerOf(servers[0]!)
  const { cluster } = await manager.streams.info("tidemark_default")
  await nats.close()
  const host = Number(cluster!.leader!.slice("server_".length))
  const copy = await copyOf(servers[host]!)
  // Its connection is to a server that stays.
  const stays = servers[(host + 1) % 3]!
  const asked = await managerOf(stays)
  await withLog({ server: stays, ...one }, (log) =>
    Effect.gen(function* () {
      yield* log.append(batches.slice(4))
      const { seen, until, failure } = yield* following(log, (yield* log.at(0, 8))!)
      yield* Effect.promise(() => asked.manager.streams.info("tidemark_default")).pipe(
        Effect.repeat({ until: ({ state }) => state.consumer_count === 1, schedule: Schedule.spaced("50 millis") }),
      )
      yield* Effect.promise(async () => {
        await servers[host]!.kill()
        rmSync(servers[host]!.storeDirectory, { recursive: true })
        cpSync(copy, servers[host]!.storeDirectory, { recursive: true })
        await servers[host]!.start()
        await withLog({ server: servers[host]!, ...one }, (other) => other.append(chainOf(7, { writer: "later" })))
      })
      yield* until(1)
      expect(ids(seen)).toEqual([])
      expect((yield* failure).message).toContain("batch later.0.4 stands where w.0.8 was read")
    }),
  )
})

test("a cluster goes on when the server that led the stream is killed", async () => {
  const servers = await startNatsCluster(3)
  undo.push(() => Promise.all(servers.map((server) => server.close())))
  const stream = "tidemark_default"
  const batches = chainOf(60, { size: 2000 })
  const urls = servers.map(({ url }) => url)
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const log = yield* openJetStreamLog({ servers: urls, partitions: 1, replicas: 3 })
        const { seen, until } = yield* following(log)
        for (const [n, batch] of batches.entries()) {
          if (n === 30) {
            const leader = yield* Effect.promise(async () => {
              const nats = await connect({ servers: urls })
              const info = await (await jetstreamManager(nats)).streams.info(stream)
              await nats.close()
              return info.cluster?.leader
            })
            const at = Number(/server_(\d)/.exec(leader!)![1])
            yield* Effect.promise(() => servers[at]!.kill())
          }
          yield* log.append([batch])
        }
        yield* until(batches.length)
        expect(ids(seen)).toEqual(idsOf(batches))
        expect(ids(yield* readAll(log))).toEqual(idsOf(batches))
        yield* log.prove
      }),
    ),
  )
})
