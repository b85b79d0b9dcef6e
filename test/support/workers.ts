import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { expect } from "vitest"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { verify } from "../../src/app/verify/verify.ts"
import type { WorkerLimits } from "../../src/app/worker/limits.ts"
import type { PartitionState, WorkerSnapshot } from "../../src/app/worker/WorkerState.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { Operations, type Outlook } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, type ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { layerJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlOperations } from "../../src/infra/sql/SqlOperations.ts"
import { layerSqlReadModelQueries } from "../../src/infra/sql/SqlReadModelQueries.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { eventually } from "./eventually.ts"
import { type NatsServer, startNatsServer } from "./natsServer.ts"
import { type PostgresServer, startPostgres } from "./postgresServer.ts"

/** How a worker's process is started: see workerMain.ts. */
export interface WorkerOptions {
  readonly nats: string
  readonly postgres: string
  readonly partitions: number
  readonly limits?: Partial<WorkerLimits>
  /** Events of this name end the process. */
  readonly deadly?: string
}

type Store = EventLog | LogWriter | Operations | ReadModel | ReadModelQueries | SqlClient.SqlClient

/** A worker in a process of its own. */
export interface WorkerProcess {
  readonly child: ChildProcess
  /** What it last said of itself. */
  readonly snapshot: () => WorkerSnapshot | undefined
  /** The partitions of the default group that it owns. */
  readonly owns: () => ReadonlyArray<number>
  readonly stateOf: (partition: number, group?: string) => PartitionState | undefined
  /** What it wrote to standard error. */
  readonly log: () => string
  readonly isAlive: () => boolean
  readonly kill: () => Promise<void>
  /** Puts its time of day back by an hour, as whoever looks after the clock of a machine may. */
  readonly putClockBack: () => void
  /** Sends SIGTERM, and gives the exit code and how long the end took, ms. */
  readonly stop: () => Promise<{ readonly code: number | null; readonly millis: number }>
}

/** A NATS server and a PostgreSQL of the test's own, and a store on them as another process sees it. */
export interface WorkersStage {
  readonly nats: NatsServer
  readonly postgres: PostgresServer
  readonly run: <A, E>(effect: Effect.Effect<A, E, Store>) => Promise<A>
  readonly start: (options?: Partial<WorkerOptions>) => WorkerProcess
  readonly append: (events: ReadonlyArray<Event>) => Promise<void>
  readonly look: () => Promise<Outlook>
  /** Waits until everything in the log is in the read model, and whole. */
  readonly caughtUp: () => Promise<void>
  /** Compares the read model with the oracle over the whole log. */
  readonly expectExact: () => Promise<void>
  /** Ends all workers and both servers. */
  readonly close: () => Promise<void>
}

const ENTRY = fileURLToPath(new URL("./workerMain.ts", import.meta.url))

export const openStage = async (partitions: number): Promise<WorkersStage> => {
  const [nats, postgres] = await Promise.all([startNatsServer(), startPostgres({ fsync: false })])
  const layer = Layer.mergeAll(layerSqlReadModelQueries, layerSqlOperations).pipe(
    Layer.provideMerge(layerSqlReadModel),
    Layer.provideMerge(layerPostgres({ url: Redacted.make(postgres.url()) })),
    Layer.provideMerge(LogWriter.layer),
    Layer.provideMerge(layerJetStreamLog({ servers: nats.url, partitions })),
  )
  const runtime = ManagedRuntime.make(layer)
  const run: WorkersStage["run"] = (effect) => runtime.runPromise(effect)
  await run(Effect.void)
  const workers = new Set<ChildProcess>()

  const start: WorkersStage["start"] = (options = {}) => {
    const all: WorkerOptions = { nats: nats.url, postgres: postgres.url(), partitions, ...options }
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ENTRY, JSON.stringify(all)], {
      stdio: ["ignore", "pipe", "pipe"],
    })
    workers.add(child)
    const gone = once(child, "exit").then(() => void workers.delete(child))
    let last: WorkerSnapshot | undefined
    let log = ""
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) last = JSON.parse(line) as WorkerSnapshot
      else {
        log += `${line}\n`
        if (process.env["SHOW"] !== undefined) process.stderr.write(`${line}\n`)
      }
    })
    child.stderr.on("data", (data: Buffer) => {
      log = (log + data.toString()).slice(-100_000)
      if (process.env["SHOW"] !== undefined) process.stderr.write(data)
    })
    const isAlive = () => child.exitCode === null && child.signalCode === null
    return {
      child,
      snapshot: () => last,
      owns: () =>
        (isAlive() ? (last?.partitions ?? []) : []).flatMap((it) =>
          it.group === LIVE_GROUP && it.claimedAt !== null ? [it.partition] : [],
        ),
      stateOf: (partition, group = LIVE_GROUP) =>
        last?.partitions.find((it) => it.group === group && it.partition === partition),
      log: () => log,
      isAlive,
      kill: async () => {
        child.kill("SIGKILL")
        await gone
      },
      putClockBack: () => void child.kill("SIGUSR2"),
      stop: async () => {
        const sent = performance.now()
        child.kill("SIGTERM")
        await gone
        return { code: child.exitCode, millis: performance.now() - sent }
      },
    }
  }

  const look = () => run(Operations.use((operations) => operations.look))

  const caughtUp = () =>
    eventually("everything is projected", async () => {
      const status = await run(EventLog.use((log) => log.status))
      const { ownerships, whole } = await look()
      return (
        whole &&
        status.every(
          ({ partition, last }) =>
            partition < 0 ||
            last === null ||
            ownerships.some(
              (it) => it.group === LIVE_GROUP && it.partition === partition && it.sequence === last.sequence,
            ),
        )
      )
    }).then(() => {})

  return {
    nats,
    postgres,
    run,
    start,
    append: (events) => run(Effect.asVoid(LogWriter.use((writer) => writer.append(events)))),
    look,
    caughtUp,
    expectExact: async () => {
      await caughtUp()
      const { differences, cells } = await run(verify())
      expect(differences).toEqual([])
      expect(cells).toBeGreaterThan(0)
    },
    close: async () => {
      for (const child of workers) child.kill("SIGKILL")
      await runtime.dispose()
      await nats.close()
      await postgres.dispose()
    },
  }
}
