import type { ChildProcess } from "node:child_process"
import pg from "pg"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ok, okJson, type Ran, refusal, runEveryFresh, scratch, tidemark } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { freePort } from "../support/freePort.ts"
import { type Servers, startServers } from "../support/servers.ts"
import { startProxy } from "../support/tcpProxy.ts"
import { JOURNEY } from "./journey.ts"

/** A worker as an operator has it: a process, watched over HTTP and by `status` from elsewhere. */

runEveryFresh()

const here = scratch()
let servers: Servers
let port: number
let env: Record<string, string>
let worker: ChildProcess
let ended: Promise<Ran>

beforeAll(async () => {
  servers = await startServers()
  port = await freePort()
  env = { ...servers.env, TIDEMARK_PARTITIONS: "2" }
  const http = { ...env, TIDEMARK_HTTP_PORT: String(port), TIDEMARK_HTTP_HOST: "127.0.0.1" }
  ended = tidemark(["project"], { env: http, cwd: here.path(), onStart: (child) => (worker = child) })
})

afterAll(async () => {
  worker.kill("SIGKILL")
  await ended
  await servers.dispose()
  here.remove()
})

const ask = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text()
const health = async (path: string) => JSON.parse(await ask(path))
const inEnvironment = () => ({ env, cwd: here.path() })

test("it comes to own all partitions, and says so to whoever asks", async () => {
  await eventually("it owns them", async () => (await health("/readyz").catch(() => null))?.partitions >= 2)
  expect(await health("/healthz")).toMatchObject({ ok: true, problems: [] })
  const { groups } = await eventually("its reports are there", async () => {
    const status = await okJson(["status"], inEnvironment())
    return status.groups[0].partitions.every(({ phase }: any) => phase === "running") && status
  })
  const owners = new Set(groups[0].partitions.map(({ owner }: any) => owner))
  expect(owners.size).toBe(1)
})

test("what is imported elsewhere it projects, and its metrics add up", async () => {
  await ok(["import", here.write("journey.ndjson", JOURNEY)], inEnvironment())
  const metrics = await eventually("it has committed them", async () => {
    const text = await ask("/metrics")
    const committed = [...text.matchAll(/^tidemark_partition_committed_events_total\{.*\} (\d+)$/gm)]
    return committed.reduce((sum, [, events]) => sum + Number(events), 0) === 16 && text
  })
  expect(metrics).toMatch(/^tidemark_postgres_connections\{pool="leases",/m)
  expect(metrics).toMatch(/^tidemark_postgres_connections\{pool="main",/m)
  expect((await okJson(["status"], inEnvironment())).balance).toMatchObject({ projected: 15, duplicates: 1, lag: 0 })
})

test("paused partitions show as paused", async () => {
  await ok(["pause", "--partition", "1"], inEnvironment())
  const paused = await eventually("it is paused", async () => {
    const { groups } = await okJson(["status"], inEnvironment())
    const [, second] = groups[0].partitions
    return second.phase === "paused" && second
  })
  expect(paused.pause).toMatchObject({ cause: "operator" })
  await ok(["resume"], inEnvironment())
})

test("without PostgreSQL it is not ready and says why, lives on, and is ready again when it is back", async () => {
  await servers.postgres.stop()
  const unready = await eventually("it is not ready", async () => {
    const found = await health("/readyz")
    return !found.ok && found
  })
  expect(unready.problems.join()).toMatch(/PostgreSQL|read model|Could not/)
  expect(await health("/healthz")).toMatchObject({ ok: true })
  await servers.postgres.start()
  await eventually("it is ready", async () => (await health("/readyz")).ok)
})

test.each(["NATS", "POSTGRES"] as const)(
  "told to stop while it waits for %s to answer, it ends with 0",
  async (name) => {
    const key = `TIDEMARK_${name}_URL`
    const url = new URL(env[key]!)
    const silent = await startProxy(Number(url.port))
    silent.stall()
    url.port = String(silent.port)
    let begun: ChildProcess | undefined
    const end = tidemark(["project"], {
      env: { ...env, [key]: url.href },
      cwd: here.path(),
      onStart: (child) => (begun = child),
    })
    await eventually("it waits for an answer", async () => silent.connections() > 0)
    const told = performance.now()
    begun!.kill("SIGTERM")
    expect(await end).toMatchObject({ code: 0, signal: null })
    // And not because its time was up.
    expect(performance.now() - told).toBeLessThan(8_000)
    await silent.close()
  },
)

test("a connection that breaks while it opens the workers' tables ends it with a sentence", async () => {
  const url = new URL(env["TIDEMARK_POSTGRES_URL"]!)
  const proxy = await startProxy(Number(url.port))
  proxy.cutAt("workers_runner_migrations", "before")
  url.port = String(proxy.port)
  const ran = await tidemark(["project"], { env: { ...env, TIDEMARK_POSTGRES_URL: url.href }, cwd: here.path() })
  expect(refusal(ran, 1)).toMatch(/^Could not open the tables of the workers: Connection terminated unexpectedly/)
  await proxy.close()
})

test("while it stops it is not ready, and still answers", async () => {
  const other = new pg.Client(servers.postgres.url())
  await other.connect()
  await other.query("BEGIN; LOCK TABLE tidemark.distinct_ids IN ACCESS EXCLUSIVE MODE")
  await ok(["import", "--no-project", here.write("one.ndjson", [{ ...JOURNEY[0]!, id: "one more" }])], inEnvironment())
  await eventually("its step waits", async () => {
    const { rows } = await other.query(
      "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tidemark.distinct_ids'::regclass",
    )
    return rows.length > 0
  })
  worker.kill("SIGTERM")
  const stopping = await eventually("it is not ready", async () => {
    const found = await health("/readyz")
    return !found.ok && found
  })
  expect(stopping.problems).toContain("the worker is stopping")
  await other.query("ROLLBACK")
  await other.end()
})

test("told to stop, and told again, it ends with 0, and status knows that it is gone", async () => {
  worker.kill("SIGTERM")
  worker.kill("SIGINT")
  worker.kill("SIGTERM")
  expect(await ended).toMatchObject({ code: 0, signal: null })
  const { groups } = await okJson(["status"], inEnvironment())
  for (const { phase } of groups[0].partitions) expect(phase).toBeNull()
})
