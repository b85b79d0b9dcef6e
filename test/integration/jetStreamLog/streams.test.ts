import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Effect } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { CONTROL_PARTITION } from "../../../src/domain/log/EventLog.ts"
import { openJetStreamLog } from "../../../src/infra/nats/JetStreamLog.ts"
import { chainOf, failureOf, readAll } from "../../contract/eventLog.ts"
import { type NatsServer, startNatsServer } from "../../support/natsServer.ts"
import { ids, idsOf, managerOf, newProject, undoAll, withLog } from "./fixtures.ts"

/** The streams that hold a log: how they are made, and which are refused. */

/** Shared by the tests that leave it running. */
let shared: NatsServer

beforeAll(async () => {
  shared = await startNatsServer()
})

afterAll(() => shared.close())

afterEach(undoAll)

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
