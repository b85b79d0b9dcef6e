import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { ManagedRuntime, Redacted } from "effect"
import { recordDefinitions } from "../../src/app/control.ts"
import { layerServers } from "../../src/app/servers.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { startNatsCluster } from "../../test/support/natsServer.ts"
import { startPostgres } from "../../test/support/postgresServer.ts"
import { startProxy, type TcpProxy } from "../../test/support/tcpProxy.ts"
import { type Fault, NATS_NODES, WORKERS } from "./faults.ts"
import { type Supervised, supervise } from "./Supervised.ts"

const PROJECT = "chaos"
const PARTITIONS = 6

const TO_PURCHASE: MetricDefinition = {
  name: "to_purchase",
  version: 1,
  formula: {
    kind: "funnel",
    steps: [{ event: "page_view" }, { event: "click" }, { event: "purchase" }],
    window: "1d",
  },
}

const fileHere = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Everything that a project on servers consists of, each part a process of its own that can be hit. */
export const openWorld = async ({ seed, rate }: { readonly seed: number; readonly rate: number }) => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-chaos-"))
  const acknowledgedFile = join(directory, "acknowledged")
  const [nodes, postgres] = await Promise.all([startNatsCluster(NATS_NODES, { advertise: false }), startPostgres()])

  /** The way past all proxies, for who judges. */
  const runtime = ManagedRuntime.make(
    layerServers({
      nats: {
        servers: nodes.map(({ url }) => url),
        project: PROJECT,
        partitions: PARTITIONS,
        replicas: 3,
        patience: "60 seconds",
      },
      postgres: { url: Redacted.make(postgres.url()) },
    }),
  )
  await runtime.runPromise(recordDefinitions([TO_PURCHASE]))

  /** Proxies of one process, each to one server. */
  const proxiesTo = (ports: ReadonlyArray<number>) => Promise.all(ports.map(startProxy))
  const natsPorts = nodes.map(({ port }) => port)
  const links = new Map<string, ReadonlyArray<TcpProxy>>()
  const workers: Array<Supervised> = []
  for (let n = 0; n < WORKERS; n++) {
    const toNats = await proxiesTo(natsPorts)
    const toPostgres = await proxiesTo([postgres.port])
    links.set(`worker ${n} to nats`, toNats).set(`worker ${n} to postgres`, toPostgres)
    workers.push(
      supervise(() => [fileHere("../../src/app/cli/main.ts"), "project"], {
        TIDEMARK_NATS_URL: toNats.map(({ port }) => `nats://127.0.0.1:${port}`).join(","),
        TIDEMARK_POSTGRES_URL: postgres.url().replace(`:${postgres.port}/`, `:${toPostgres[0]!.port}/`),
        TIDEMARK_PROJECT: PROJECT,
        TIDEMARK_POSTGRES_POOL: String(PARTITIONS + 2),
      }),
    )
  }
  const writerToNats = await proxiesTo(natsPorts)
  links.set("writer to nats", writerToNats)
  let writers = 0
  let version = 1
  let told = Promise.withResolvers<void>()
  const writer = supervise(
    () => [
      fileHere("writer.ts"),
      writerToNats.map(({ port }) => `nats://127.0.0.1:${port}`).join(","),
      PROJECT,
      acknowledgedFile,
      String(seed * 1000 + writers++),
      String(rate),
    ],
    {},
    (line) => line === "paused" && told.resolve(),
  )

  const processOf = (
    target: string,
  ): Pick<Supervised, "kill" | "freeze" | "thaw"> & { readonly start: () => unknown } => {
    const [name, n] = target.split(" ")
    return name === "worker"
      ? workers[Number(n)]!
      : name === "nats"
        ? nodes[Number(n)]!
        : name === "writer"
          ? writer
          : postgres
  }

  return {
    runtime,
    postgres,
    acknowledgedFile,
    start: () => [...workers, writer].forEach(({ start }) => start()),

    /** Lets a fault happen, and end. */
    hit: async ({ kind, target, millis }: Fault) => {
      if (kind === "drop") return links.get(target)!.forEach(({ drop }) => drop())
      if (kind === "lose a commit") return links.get(target)![0]!.cutAt("COMMIT", "before")
      if (kind === "lose the answer to a commit") return links.get(target)![0]!.cutAt("COMMIT", "after")
      if (kind === "stall") {
        links.get(target)!.forEach(({ stall }) => stall())
        await pause(millis)
        return links.get(target)!.forEach(({ resume }) => resume())
      }
      const hit = processOf(target)
      if (kind === "kill") {
        await hit.kill()
        await pause(millis)
        return void (await hit.start())
      }
      hit.freeze()
      await pause(millis)
      hit.thaw()
    },

    /** The writer stands still when this returns: everything it has sent is acknowledged. */
    pauseWriter: async () => {
      told = Promise.withResolvers()
      const asking = setInterval(() => writer.say("pause"), 200)
      await told.promise
      clearInterval(asking)
    },
    goOn: () => writer.say("go on"),

    /** Applies a metric anew, which is built over all of the log while the faults go on. */
    applyMetric: () => runtime.runPromise(recordDefinitions([{ ...TO_PURCHASE, version: ++version }])),
    /** Whether the metric applied last answers questions. */
    isMetricLive: async () => {
      const measures = await runtime.runPromise(ReadModel.use((readModel) => readModel.measures))
      return measures.some(
        ({ definition, state }) =>
          definition.name === TO_PURCHASE.name && definition.version === version && state === "live",
      )
    },

    /** Processes that ended unasked, and what they said last. */
    endedUnasked: () => [
      ...workers.flatMap(({ ended }, n) => ended.map((said) => `worker ${n}: ${said}`)),
      ...writer.ended.map((said) => `writer: ${said}`),
    ],
    /** Ends the workers as an operator would; gives their exit codes, and how long the slowest took in ms. */
    stopWorkers: async () => {
      const began = performance.now()
      const codes = await Promise.all(workers.map(({ stop }) => stop()))
      return { codes, millis: Math.round(performance.now() - began) }
    },
    close: async () => {
      await Promise.all([...workers, writer].map(({ kill }) => kill()))
      await runtime.dispose()
      await Promise.all([...links.values()].flat().map(({ close }) => close()))
      await Promise.all([...nodes.map(({ close }) => close()), postgres.dispose()])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export type World = Awaited<ReturnType<typeof openWorld>>
