import { cpSync, rmSync } from "node:fs"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, Fiber, Metric, Result, type Scope, Stream } from "effect"
import type { PackedBatch } from "../../../src/domain/log/batch.ts"
import type { EventLog, LogRecord, Place } from "../../../src/domain/log/EventLog.ts"
import { type JetStreamLogOptions, openJetStreamLog } from "../../../src/infra/nats/JetStreamLog.ts"
import { logMetrics } from "../../../src/infra/nats/logMetrics.ts"
import { type NatsServer, startNatsServer } from "../../support/natsServer.ts"

/** Logs on servers of their own, their readers, and what is undone after each test. */

type Log = EventLog["Service"]

export const undo: Array<() => unknown> = []

/** Undoes after a test what it has made, the last first. */
export const undoAll = async (): Promise<void> => {
  for (const step of undo.splice(0).reverse()) await step()
}

/** A server that the test may stop, with one client of its own. */
export const ownServer = async (): Promise<NatsServer> => {
  const server = await startNatsServer()
  undo.push(() => server.close())
  return server
}

export const managerOf = async (server: NatsServer) => {
  const nats = await connect({ servers: server.url, maxReconnectAttempts: -1 })
  undo.push(() => nats.close())
  return { nats, manager: await jetstreamManager(nats, { checkAPI: false }) }
}

let projects = 0

export const newProject = (): { readonly project: string; readonly stream: string } => {
  const project = `world_${++projects}`
  return { project, stream: `tidemark_${project}` }
}

export const withLog = <A, E>(
  options: Omit<JetStreamLogOptions, "servers"> & { readonly server: NatsServer },
  use: (log: Log) => Effect.Effect<A, E, Scope.Scope>,
) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(openJetStreamLog({ partitions: 1, ...options, servers: options.server.url }), (log) => use(log)),
    ),
  )

export const counted = (name: keyof typeof logMetrics) =>
  Effect.map(Metric.value(logMetrics[name]), ({ count }) => count)

/** Follows partition 0 in a fiber; `until` waits for as many records, or for its end. */
export const following = (log: Log, after: Place = 0) =>
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

/**
 * Stops a server, puts back the copy that was made of its store, and appends to it, on another port, where nobody looks.
 * The server itself stays away.
 */
export const putBackAndWriteOn = async (
  server: NatsServer,
  copy: string,
  ...appends: ReadonlyArray<ReadonlyArray<PackedBatch>>
): Promise<void> => {
  await server.stop()
  const elsewhere = await startNatsServer()
  undo.push(() => elsewhere.close())
  await elsewhere.stop()
  rmSync(elsewhere.storeDirectory, { recursive: true, force: true })
  cpSync(copy, elsewhere.storeDirectory, { recursive: true })
  await elsewhere.start()
  await withLog({ server: elsewhere }, (log) => Effect.forEach(appends, log.append))
  await elsewhere.stop()
  rmSync(server.storeDirectory, { recursive: true })
  cpSync(elsewhere.storeDirectory, server.storeDirectory, { recursive: true })
}

/** Stops a server for a copy of its store, and starts it again. */
export const copyOf = async (server: NatsServer): Promise<string> => {
  const copy = `${server.storeDirectory}.older`
  await server.stop()
  cpSync(server.storeDirectory, copy, { recursive: true })
  await server.start()
  return copy
}

export const ids = (records: ReadonlyArray<LogRecord>): ReadonlyArray<string> =>
  records.map(({ position }) => position.batchId)

export const idsOf = (batches: ReadonlyArray<PackedBatch>): ReadonlyArray<string> => batches.map(({ id }) => id)
