import { createServer, type Server } from "node:http"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { layerObserved } from "../../src/app/observe/layerObserved.ts"
import { layerTelemetry } from "../../src/app/observe/telemetry.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { layerServers } from "../../src/app/servers.ts"
import { status } from "../../src/app/status/status.ts"
import type { Store } from "../../src/app/store.ts"
import { WorkerState } from "../../src/app/worker/WorkerState.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { eventually } from "../support/eventually.ts"
import { freePort } from "../support/freePort.ts"
import { type Servers, startServers } from "../support/servers.ts"

/** A worker as those see it who watch it; its loops' reports are made by hand, so that each state can be had. */

let servers: Servers
let port: number
let runtime: ManagedRuntime.ManagedRuntime<WorkerState | Store, unknown>
const OWNER = "machine:1"
const LOGGED_AT = Date.now()

const run = <A, E>(effect: Effect.Effect<A, E, WorkerState | Store>) => runtime.runPromise(effect)
const ask = async (path: string) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  const text = await response.text()
  return { code: response.status, text, type: response.headers.get("content-type") }
}
const health = async (path: string) => {
  const { code, text } = await ask(path)
  return { code, ...JSON.parse(text) }
}

/** Values of the series in Prometheus' text format. */
const scrape = async (): Promise<ReadonlyMap<string, number>> => {
  const { text } = await ask("/metrics")
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  )
}

const event = (id: string): Event => ({
  id,
  kind: "track",
  name: "page_view",
  userId: "ada",
  anonymousId: null,
  sessionId: null,
  time: LOGGED_AT,
  timestamp: LOGGED_AT,
  sentAt: null,
  receivedAt: LOGGED_AT,
  warnings: [],
  body: {},
})

const layerOf = (http: number) => {
  const observed = layerObserved({ http: { host: "127.0.0.1", port: http }, readyLagSeconds: 60 })
  const store = layerServers({
    nats: { servers: servers.nats.url, partitions: 1 },
    postgres: { url: Redacted.make(servers.postgres.url()) },
  })
  return observed.pipe(Layer.provideMerge(Layer.merge(WorkerState.layer(OWNER), store)))
}

beforeAll(async () => {
  servers = await startServers()
  port = await freePort()
  runtime = ManagedRuntime.make(layerOf(port))
  await run(
    Effect.gen(function* () {
      const writer = yield* LogWriter
      yield* writer.append([event("e1"), event("e2"), event("e1")])
      yield* Projector.use((projector) => projector.project())
      yield* writer.append([event("e3")])
    }),
  )
})
afterAll(async () => {
  await runtime.dispose()
  await servers.dispose()
})

const report = WorkerState.use((state) => state.report("live", 0))

describe("a worker over HTTP", () => {
  test("one that owns nothing stands by: alive and ready", async () => {
    expect(await health("/healthz")).toMatchObject({ code: 200, ok: true, problems: [], partitions: 0 })
    expect(await health("/readyz")).toMatchObject({ code: 200, ok: true, partitions: 0 })
    expect((await ask("/nothing")).code).toBe(404)
  })

  test("one that owns a partition shows what it does, and what the log and the read model say of it", async () => {
    await run(
      Effect.gen(function* () {
        const loop = yield* report
        yield* loop.claimed(null)
        yield* loop.is("running")
        yield* loop.took(2, 0, Date.now())
      }),
    )
    // The store is looked at every ten seconds.
    const found = await eventually("the partition's lag", async () => {
      const found = await scrape()
      return found.has('tidemark_partition_lag_events{group="live",partition="0"}') && found
    })
    expect(Object.fromEntries(found)).toMatchObject({
      tidemark_worker_partitions: 1,
      tidemark_worker_stopping: 0,
      'tidemark_worker_dependency_up{dependency="log"}': 1,
      'tidemark_partition_phase{group="live",partition="0",phase="running"}': 1,
      'tidemark_partition_folded_events_total{group="live",partition="0"}': 2,
      'tidemark_partition_pending_events{group="live",partition="0"}': 2,
      'tidemark_partition_lag_events{group="live",partition="0"}': 1,
      'tidemark_partition_lag_exact{group="live",partition="0"}': 1,
      'tidemark_balance_events{group="live",partition="0",term="accepted"}': 4,
      'tidemark_balance_events{group="live",partition="0",term="projected"}': 2,
      'tidemark_balance_events{group="live",partition="0",term="duplicates"}': 1,
      'tidemark_balance_events{group="live",partition="0",term="quarantined"}': 0,
      'tidemark_balance_events{group="live",partition="0",term="lag"}': 1,
      'tidemark_commits_total{outcome="committed"}': 1,
      tidemark_commit_duration_seconds_count: 1,
      tidemark_step_events_sum: 3,
      tidemark_log_reconnects_total: 0,
      'tidemark_postgres_connections{pool="main",state="lent"}': expect.any(Number),
    })
    expect(found.get("process_resident_memory_bytes")).toBeGreaterThan(10_000_000)
    expect(found.get("process_cpu_seconds_total")).toBeGreaterThan(0)
  })

  test("the reference names every metric that there is, and no other", async () => {
    const { text, type } = await ask("/metrics")
    expect(type).toBe("text/plain; version=0.0.4; charset=utf-8")
    const shown = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!))
    const reference = readFileSync(new URL("../../docs/reference/worker-metrics.md", import.meta.url), "utf8")
    const documented = [...reference.matchAll(/^\| `([a-z_]+)`/gm)].map(([, name]) => name!)
    // Shown only while there is something to count.
    const absent = documented.filter((name) => !shown.has(name))
    expect(absent).toEqual(["tidemark_quarantine_lines"])
    expect([...shown].filter((name) => !documented.includes(name))).toEqual([])
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) expect(text).toContain(`# HELP ${name} `)
  })

  test("others read its report", async () => {
    const found = await eventually("a report", async () => {
      const { groups } = await run(status())
      // Who claimed last is the projection of this test, so the report is of somebody else and is not shown.
      return groups[0]!.partitions[0]!.owner !== OWNER && groups[0]
    })
    expect(found.partitions[0]!.phase).toBeNull()
    const [row] = await servers.postgres.query("SELECT owner, phase FROM tidemark.worker_reports")
    expect(row).toEqual({ owner: OWNER, phase: "running" })
  })

  test("a dependency that is away makes it not ready, and says why; it lives on", async () => {
    const dependency = (sentence: string | null) =>
      run(WorkerState.use((state) => state.dependency("postgres", sentence)))
    await dependency("PostgreSQL at p can't be used: nothing listens there.")
    expect(await health("/readyz")).toMatchObject({
      code: 503,
      ok: false,
      problems: ["PostgreSQL at p can't be used: nothing listens there."],
    })
    expect(await health("/healthz")).toMatchObject({ code: 200 })
    expect((await scrape()).get('tidemark_worker_dependency_up{dependency="postgres"}')).toBe(0)
    await dependency(null)
    expect(await health("/readyz")).toMatchObject({ code: 200 })
  })

  test("events that wait for too long make it not ready", async () => {
    await run(Effect.flatMap(report, (loop) => loop.behind(Date.now() - 90_000)))
    const unready = await health("/readyz")
    expect(unready.code).toBe(503)
    expect(unready.problems).toEqual([
      expect.stringMatching(/^the oldest unprocessed event is 9\d s old, and 60 s are/),
    ])
    expect(unready.oldestUnprocessedSeconds).toBeGreaterThan(89)
  })

  test("a metric that is being built begins with the oldest event, and its worker is ready", async () => {
    await run(
      WorkerState.use((state) =>
        Effect.gen(function* () {
          yield* Effect.flatMap(state.report("live", 0), (loop) => loop.is("running"))
          yield* Effect.flatMap(state.report("build-1", 0), (loop) => loop.behind(Date.now() - 90_000))
        }),
      ),
    )
    expect(await health("/readyz")).toMatchObject({ code: 200, problems: [], partitions: 1 })
    // Where each live partition has an owner these add up to the number of partitions.
    expect((await scrape()).get("tidemark_worker_partitions")).toBe(1)
    await run(WorkerState.use((state) => state.forget("build-1", 0)))
  })

  test("a partition that failed makes it not ready; starting it anew would not help, so it lives on", async () => {
    await run(Effect.flatMap(report, (loop) => loop.is("failed", "The log is damaged at 0/17: record 17 is missing.")))
    expect(await health("/readyz")).toMatchObject({
      code: 503,
      problems: ["live/0 failed: The log is damaged at 0/17: record 17 is missing."],
    })
    expect(await health("/healthz")).toMatchObject({ code: 200, problems: [] })
  })

  test("a partition that moved away is shown no more", async () => {
    await run(WorkerState.use((state) => state.forget("live", 0)))
    expect([...(await scrape()).keys()].filter((key) => key.includes('partition="0"'))).toEqual([])
  })

  test("a port that is taken is a sentence", async () => {
    const failure = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(Layer.fresh(layerOf(port))))))
    expect(failure).toMatchObject({ _tag: "HttpUnavailable" })
    expect((failure as Error).message).toContain("another program listens there")
  })
})

describe("telemetry", () => {
  let collector: Server
  const received = new Map<string, string>()

  beforeAll(async () => {
    collector = createServer((request, response) => {
      let body = ""
      request.on("data", (part: Buffer) => (body += part.toString()))
      request.on("end", () => {
        received.set(request.url!, (received.get(request.url!) ?? "") + body)
        response.end("{}")
      })
    }).listen(0, "127.0.0.1")
    await once(collector, "listening")
  })
  afterAll(() => collector.close())

  test("traces and metrics go to the collector", async () => {
    const address = collector.address() as { port: number }
    const work = Effect.void.pipe(Effect.withSpan("a step"))
    await Effect.runPromise(
      work.pipe(Effect.provide(layerTelemetry({ otlpUrl: `http://127.0.0.1:${address.port}/`, logFormat: "json" }))),
    )
    expect(received.get("/v1/traces")).toContain('"a step"')
    expect(received.get("/v1/traces")).toContain('"tidemark"')
    expect(received.get("/v1/metrics")).toContain("tidemark_commits_total")
  })
})
