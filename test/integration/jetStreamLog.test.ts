import { randomBytes } from "node:crypto"
import { cpSync, rmSync } from "node:fs"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { DiscardPolicy, jetstreamManager, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream"
import { connect, headers, nanos } from "@nats-io/transport-node"
import { Effect, Fiber, Metric, Result, Schedule, type Scope, Stream } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { readBatches } from "../../src/app/readBatches.ts"
import type { PackedBatch } from "../../src/domain/log/batch.ts"
import { CONTROL_PARTITION, EventLog, type LogRecord } from "../../src/domain/log/EventLog.ts"
import { type JetStreamLogOptions, openJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { logMetrics } from "../../src/infra/nats/logMetrics.ts"
import { chainOf, failureOf, readAll } from "../contract/eventLog.ts"
import { type NatsServer, startNatsCluster, startNatsServer } from "../support/natsServer.ts"

type Log = EventLog["Service"]

/** Shared by the tests that leave it running. */
let shared: NatsServer

beforeAll(async () => {
  shared = await startNatsServer()
})

afterAll(() => shared.close())

const undo: Array<() => unknown> = []

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** A server that the test may stop, with one client of its own. */
const ownServer = async (): Promise<NatsServer> => {
  const server = await startNatsServer()
  undo.push(() => server.close())
  return server
}

const managerOf = async (server: NatsServer) => {
  const nats = await connect({ servers: server.url, maxReconnectAttempts: -1 })
  undo.push(() => nats.close())
  return { nats, manager: await jetstreamManager(nats, { checkAPI: false }) }
}

let projects = 0

const newProject = (): { readonly project: string; readonly stream: string } => {
  const project = `world_${++projects}`
  return { project, stream: `tidemark_${project}` }
}

const withLog = <A, E>(
  options: Omit<JetStreamLogOptions, "servers"> & { readonly server: NatsServer },
  use: (log: Log) => Effect.Effect<A, E, Scope.Scope>,
) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(openJetStreamLog({ partitions: 1, ...options, servers: options.server.url }), (log) => use(log)),
    ),
  )

const counted = (name: keyof typeof logMetrics) => Effect.map(Metric.value(logMetrics[name]), ({ count }) => count)

/** Follows partition 0 in a fiber; `until` waits for as many records, or for its end. */
const following = (log: Log, after = 0) =>
  Effect.gen(function* () {
    const seen: Array<LogRecord> = []
    let wake = () => {}
    const fiber = yield* log.follow(0, after).pipe(
      Stream.runForEach((record) =>
        Effect.sync(() => {
          seen.push(record)
          wake()
        }),
      ),
      Effect.result,
      Effect.forkScoped,
    )
    const until = (count: number) =>
      Effect.race(
        Effect.callback<void>((resume) => {
          wake = () => {
            if (seen.length >= count) resume(Effect.void)
          }
          wake()
        }),
        Effect.andThen(Fiber.join(fiber), Effect.void),
      )
    /** The failure that ends it. */
    const failure = Effect.map(Fiber.join(fiber), (result) => Result.getOrThrow(Result.flip(result)))
    return { seen, until, failure }
  })

const ids = (records: ReadonlyArray<LogRecord>): ReadonlyArray<string> =>
  records.map(({ position }) => position.batchId)

const idsOf = (batches: ReadonlyArray<PackedBatch>): ReadonlyArray<string> => batches.map(({ id }) => id)

describe("a stream", () => {
  test("is made to hold a log", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    await withLog({ server: shared, project, partitions: 3, maxBytes: 1_000_000, maxAge: "30 days" }, (log) =>
      Effect.gen(function* () {
        const { config } = yield* Effect.promise(() => manager.streams.info(stream))
        expect(config).toMatchObject({
          name: stream,
          description: `Tidemark log ${log.incarnation}, partitions: 3`,
          subjects: ["0", "1", "2"].map((last) => `tidemark.${project}.${last}`),
          retention: "limits",
          storage: "file",
          discard: "new",
          num_replicas: 1,
          max_bytes: 1_000_000,
          max_age: nanos(30 * 86_400_000),
          max_msg_size: 1024 * 1024,
          duplicate_window: nanos(120_000),
        })
        // What bounds the events does not bound the control facts: settings and metrics never grow too old.
        const control = yield* Effect.promise(() => manager.streams.info(`tidemark-control_${project}`))
        expect(control.config).toMatchObject({
          description: `Tidemark log ${log.incarnation}, control facts`,
          subjects: [`tidemark.${project}.control`],
          max_bytes: -1,
          max_age: 0,
        })
      }),
    )
    // It keeps what it was made with.
    expect(await withLog({ server: shared, project, partitions: 7 }, (log) => Effect.succeed(log.partitions))).toBe(3)
  })

  test("is made once, by however many at the same moment", async () => {
    const { project } = newProject()
    const open = () => withLog({ server: shared, project }, (log) => Effect.succeed(log.incarnation))
    expect(new Set(await Promise.all(Array.from({ length: 8 }, open))).size).toBe(1)
  })

  test("of control facts that belong to another log is refused: the events were replaced under it", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    const first = await withLog({ server: shared, project }, (log) => Effect.succeed(log.incarnation))
    await manager.streams.delete(stream)
    const error = await failureOf(Effect.scoped(openJetStreamLog({ servers: shared.url, project })))
    expect(error._tag).toBe("StreamUnfit")
    expect(error.message).toContain(
      `The stream tidemark-control_${project} can't hold a log: its description is of log ${first}`,
    )
    expect(error.message).toContain(`Restore the stream ${stream} that it belongs to`)
  })

  test("keeps control facts when its events are purged", async () => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    await withLog({ server: shared, project, partitions: 1 }, (log) =>
      Effect.gen(function* () {
        const facts = chainOf(2, { partition: CONTROL_PARTITION })
        yield* log.append([...chainOf(3), ...facts])
        yield* Effect.promise(() => manager.streams.purge(stream))
        expect(ids(yield* readAll(log, CONTROL_PARTITION))).toEqual(idsOf(facts))
        expect(yield* readAll(log)).toEqual([])
        yield* log.prove
      }),
    )
  })

  test("has 16 partitions unless told otherwise", async () => {
    const { project } = newProject()
    const open = openJetStreamLog({ servers: shared.url, project })
    expect(await Effect.runPromise(Effect.scoped(Effect.map(open, ({ partitions }) => partitions)))).toBe(16)
  })

  const description = "Tidemark log 00000000-0000-4000-8000-000000000000, partitions: 1"

  test.each<readonly [string, Partial<StreamConfig>, string]>([
    ["of somebody else", { description: "orders" }, 'its description is "orders", and must be that of a Tidemark log'],
    ["without a description", { description: "" }, "its description is empty"],
    ["with other subjects", { subjects: ["other.>"] }, "its subjects is without tidemark.$.0, and must be"],
    ["as a work queue", { retention: RetentionPolicy.Workqueue }, "its retention is workqueue, and must be limits"],
    ["kept while there is interest", { retention: RetentionPolicy.Interest }, "its retention is interest"],
    ["in memory", { storage: StorageType.Memory }, "its storage is memory, and must be file"],
    ["without acknowledgements", { no_ack: true }, "its no_ack is true, and must be false"],
    ["that drops its oldest", { discard: DiscardPolicy.Old, max_bytes: 1e6 }, "its discard is old, and must be new"],
    ["that keeps the last of a subject", { max_msgs_per_subject: 1 }, "its max_msgs_per_subject is 1"],
    ["for small messages", { max_msg_size: 1000 }, "its max_msg_size is 1000, and must be 1048576 or more"],
    ["that forgets ids soon", { duplicate_window: nanos(1000) }, "its duplicate_window is 1 s, and must be 120 s"],
  ])("%s is refused and left as it is", async (_, config, sentence) => {
    const { project, stream } = newProject()
    const { manager } = await managerOf(shared)
    const subjects = [`tidemark.${project}.0`]
    const fits = { subjects, description, discard: DiscardPolicy.New, storage: StorageType.File, name: stream }
    await manager.streams.add({ ...fits, ...config })
    const before = await manager.streams.info(stream)
    const error = await failureOf(Effect.scoped(openJetStreamLog({ servers: shared.url, project })))
    expect(error._tag).toBe("StreamUnfit")
    expect(error.message).toContain(`The stream ${stream} can't hold a log: `)
    expect(error.message).toContain(sentence.replace("$", project))
    expect(error.message).toContain(" Nothing was changed. ")
    expect((await manager.streams.info(stream)).config).toEqual(before.config)
    await manager.streams.delete(stream)
  })
})

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

  test("an older copy of the store is put back: found and named, by the reader and by the writer", async () => {
    const server = await ownServer()
    const older = `${server.storeDirectory}.older`
    const batches = chainOf(8)
    const longer = chainOf(20, { writer: "later" })
    await withLog({ server }, (log) => log.append(batches.slice(0, 4)))
    await server.stop()
    cpSync(server.storeDirectory, older, { recursive: true })
    await server.start()
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

  test("a copy is put back and grows past the reader's place before the reader is back", async () => {
    const server = await ownServer()
    const older = `${server.storeDirectory}.older`
    const batches = chainOf(8)
    await withLog({ server }, (log) => log.append(batches.slice(0, 4)))
    await server.stop()
    cpSync(server.storeDirectory, older, { recursive: true })
    await server.start()
    await withLog({ server }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches.slice(4))
        const { seen, until, failure } = yield* following(log)
        yield* until(8)
        yield* Effect.promise(async () => {
          await server.stop()
          rmSync(server.storeDirectory, { recursive: true })
          cpSync(older, server.storeDirectory, { recursive: true })
        })
        // On another port, where the reader doesn't look.
        yield* Effect.promise(async () => {
          const elsewhere = await startNatsServer()
          await elsewhere.stop()
          rmSync(elsewhere.storeDirectory, { recursive: true, force: true })
          cpSync(server.storeDirectory, elsewhere.storeDirectory, { recursive: true })
          await elsewhere.start()
          await withLog({ server: elsewhere }, (other) => other.append(chainOf(20, { writer: "later" })))
          await elsewhere.stop()
          rmSync(server.storeDirectory, { recursive: true })
          cpSync(elsewhere.storeDirectory, server.storeDirectory, { recursive: true })
          await elsewhere.close()
          await server.start()
        })
        const error = yield* failure
        expect(error.message).toContain(
          "The log is damaged at 0/8: batch later.0.4 stands where w.0.8 was read: the log was put back to an older copy",
        )
        expect(seen.length).toBe(8)
      }),
    )
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

describe("records", () => {
  const kept = async (project: string, manager: Awaited<ReturnType<typeof managerOf>>["manager"], sequence: number) =>
    Buffer.from((await manager.streams.getMessage(`tidemark_${project}`, { seq: sequence }))!.data)

  const bytesOf = (records: ReadonlyArray<Pick<LogRecord, "bytes">>) => records.map(({ bytes }) => Buffer.from(bytes))

  test("are stored compressed with zstd, and read as they were appended", async () => {
    const { project } = newProject()
    const { manager } = await managerOf(shared)
    const batches = chainOf(3, { size: 20_000 })
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches)
        for (const [n, { bytes }] of batches.entries()) {
          const payload = yield* Effect.promise(() => kept(project, manager, n + 1))
          expect(payload.length).toBeLessThan(0.75 * bytes.length)
          expect(zstdDecompressSync(payload)).toEqual(Buffer.from(bytes))
          expect(bytesOf([(yield* log.at(0, n + 1))!])).toEqual(bytesOf([{ bytes }]))
        }
        expect(bytesOf(yield* readAll(log))).toEqual(bytesOf(batches))
      }),
    )
  })

  test("that zstd makes no smaller are stored as they are", async () => {
    const { project } = newProject()
    const { manager } = await managerOf(shared)
    const noise = { ...chainOf(1)[0]!, bytes: randomBytes(1000) }
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append([noise])
        expect(yield* Effect.promise(() => kept(project, manager, 1))).toEqual(noise.bytes)
        expect(bytesOf(yield* readAll(log))).toEqual([noise.bytes])
      }),
    )
  })

  test("of versions that did not compress are read among others", async () => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    const batches = chainOf(6, { size: 2000 })
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        for (const [n, batch] of batches.entries()) {
          if (n % 2 === 0) {
            const head = headers()
            head.set("Nats-Msg-Id", batch.id)
            const options = { headers: head, timeout: 5000 }
            yield* Effect.promise(() => nats.request(`tidemark.${project}.0`, batch.bytes, options))
          } else yield* log.append([batch])
        }
        const opened = yield* Stream.runCollect(readBatches(0)).pipe(Effect.provideService(EventLog, log))
        expect(opened.map(({ batch }) => batch.id)).toEqual(idsOf(batches))
        expect(bytesOf(yield* readAll(log))).toEqual(bytesOf(batches))
        expect(bytesOf([(yield* log.at(0, 1))!, (yield* log.at(0, 2))!])).toEqual(bytesOf(batches.slice(0, 2)))
        // What is compressed now has the id that it had when it was not.
        expect((yield* log.append(batches)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6])
      }),
    )
  })

  test("are decompressed a few at a time, however many one delivery brings", async () => {
    const { project } = newProject()
    const size = 300_000
    // Of one letter: all of them together are a fraction of one pull.
    const batches = chainOf(30).map((batch) => ({ ...batch, bytes: Buffer.alloc(size, "x") }))
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches)
        const pages: Array<number> = []
        yield* log.read(0, 0).pipe(
          Stream.mapArray((records) => {
            pages.push(records.length)
            return records
          }),
          Stream.runForEach(({ bytes }) => Effect.sync(() => expect(bytes.length).toBe(size))),
        )
        expect(pages.reduce((all, records) => all + records, 0)).toBe(batches.length)
        expect(Math.max(...pages)).toBeLessThanOrEqual(Math.ceil((1024 * 1024) / size))
      }),
    )
  })
})

describe("a record that no writer of this version wrote", () => {
  const published = async (payload: Uint8Array, id?: string) => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    const problem = await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(chainOf(1))
        const head = headers()
        if (id !== undefined) head.set("Nats-Msg-Id", id)
        yield* Effect.promise(() => nats.request(`tidemark.${project}.0`, payload, { headers: head, timeout: 5000 }))
        yield* log.append(chainOf(2).slice(1))
        const opened: Array<string> = []
        const read = readBatches(0).pipe(
          Stream.runForEach(({ batch }) => Effect.sync(() => opened.push(batch.id))),
          Effect.provideService(EventLog, log),
        )
        const error = yield* Effect.flip(read)
        // What stands before it was read, and nothing after it.
        expect(opened).toEqual(["w.0.1"])
        return error
      }),
    )
    return problem
  }

  test("of a stranger", async () => {
    const error = await published(Buffer.from("hello"))
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toContain("The log is damaged at 0/2: it does not begin with a version number")
  })

  test("that is empty", async () => {
    expect((await published(new Uint8Array(0)))._tag).toBe("LogDamaged")
  })

  test("that is cut short", async () => {
    const { bytes, id } = chainOf(2)[1]!
    const error = await published(bytes.subarray(0, bytes.length - 7), `${id}-cut`)
    expect(error.message).toContain("The log is damaged at 0/2: its checksum does not match its bytes")
  })

  const damagedFrames: ReadonlyArray<readonly [string, (frame: Buffer) => Uint8Array]> = [
    ["cut short", (frame) => frame.subarray(0, frame.length - 7)],
    ["of its first bytes alone", (frame) => frame.subarray(0, 4)],
    ["with a changed block", (frame) => frame.fill(0xff, 20, 24)],
    ["with a flipped bit", (frame) => frame.map((byte, at) => (at === 300 ? byte ^ 1 : byte))],
  ]

  test.each(damagedFrames)("that is compressed and %s", async (_, damage) => {
    const [, second] = chainOf(2, { size: 500 })
    const error = await published(damage(zstdCompressSync(second!.bytes)), "damaged")
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toMatch(/^The log is damaged at 0\/2: it(s checksum| does not begin with a version number)/)
  })

  test("that unpacks to more than any batch is not unpacked", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(10_000)
    const error = await published(bomb, "bomb")
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toContain(`The log is damaged at 0/2: it does not begin with a version number`)
  })

  test("of a newer format", async () => {
    const { bytes } = chainOf(2)[1]!
    const newer = Buffer.from(Buffer.from(bytes).toString("latin1").replace('{"v":1,', '{"v":2,'), "latin1")
    const error = await published(newer, "newer")
    expect(error).toMatchObject({ _tag: "UnknownBatchVersion", found: 2, known: 1 })
  })

  test("can't be written to a partition that is none", async () => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    await withLog({ server: shared, project, partitions: 2 }, () =>
      Effect.promise(() => expect(nats.request(`tidemark.${project}.2`, "hello")).rejects.toThrow("no responders")),
    )
  })
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
