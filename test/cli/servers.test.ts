import { readdirSync } from "node:fs"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { ok, okJson, refused, scratch, tidemark } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { freePort } from "../support/freePort.ts"
import { startServers, type Servers } from "../support/servers.ts"
import { startProxy } from "../support/tcpProxy.ts"
import { JOURNEY, METRICS } from "./journey.ts"

/**
 * The program on servers gives what it gives on the embedded store, for the same file. The tests of this file go on
 * where the last one ended.
 */

const here = scratch()
let servers: Servers
let env: Record<string, string>
let embedded: ReadonlyArray<string>

beforeAll(async () => {
  servers = await startServers()
  env = { ...servers.env, TIDEMARK_PARTITIONS: "3" }
  embedded = ["--dir", await here.store("embedded")]
})

afterAll(async () => {
  await servers.dispose()
  here.remove()
})

const inEnvironment = () => ({ env, cwd: here.path() })

/** Where answers stand in the log differs: several partitions, other moments. */
const numbersOf = ({ comparisons, ...answer }: any) => ({
  ...answer,
  asOf: null,
  seconds: null,
  eventsPerSecond: null,
  comparisons: comparisons?.map((comparison: any) => ({ ...comparison, asOf: null })),
})

/** Runs a command on the servers and on the embedded store, and checks that they say the same. */
const onBoth = async (...args: ReadonlyArray<string>) => {
  const there = await okJson(args, inEnvironment())
  const reference = await okJson([...args, ...embedded])
  expect(numbersOf(there)).toEqual(numbersOf(reference))
  return there
}

const QUESTIONS = [
  ["query", "active-users"],
  ["query", "active-users", "--interval", "week", "--event", "page_view"],
  ["query", "adoption"],
  ["query", "sessions"],
  ["query", "events"],
  ["query", "funnel", "to_purchase"],
  ["query", "funnel", "--steps", "page_view,sign_up,purchase"],
  ["query", "metric", "revenue"],
  ["verify"],
]

describe("the program on servers", () => {
  test("a command that makes no store says that there is none, and makes none", async () => {
    expect(await refused(3, ["status"], inEnvironment())).toMatch(/There is no log of the project default/)
  })

  test("import reads, accepts and projects the same", async () => {
    const file = here.write("journey.ndjson", [...JOURNEY, "{ broken"])
    expect(await onBoth("import", file)).toMatchObject({ read: 17, accepted: 16, rejected: 1, duplicates: 1 })
  })

  test("metrics are applied over all of history", async () => {
    await onBoth("metrics", "apply", here.write("metrics.yaml", METRICS))
  })

  test.each(QUESTIONS.map((args) => [args.join(" "), args] as const))("%s", async (_, args) => {
    await onBoth(...args)
  })

  test("a rebuild gives the same numbers, and the quarantine is still there", async () => {
    const { comparisons, promoted } = await onBoth("rebuild")
    expect(promoted).toBe(true)
    expect(comparisons.map(({ differing }: any) => differing)).toEqual(comparisons.map(() => 0))
    await onBoth("query", "active-users")
    await onBoth("rebuild", "--wipe")
    await onBoth("query", "active-users")
    expect(await okJson(["quarantine", "list"], inEnvironment())).toMatchObject({ total: 1, lines: [{ line: 17 }] })
  })

  let then: any

  test("other settings change the numbers alike", async () => {
    then = await okJson(["query", "active-users"], inEnvironment())
    await ok(["settings", "--time-zone", "Europe/Berlin"], inEnvironment())
    await ok(["settings", "--time-zone", "Europe/Berlin", ...embedded])
    await onBoth("project", "--once")
    expect(await onBoth("query", "active-users")).toMatchObject({ timeZone: "Europe/Berlin" })
  })

  test("an answer is given again as of where it was given, from a replay on this machine", async () => {
    expect(then.asOf.cut).toMatch(/^\d:\d+,.*c:\d+@/)
    // How far the replay is may be on standard error.
    const { stdout } = await tidemark(["query", "active-users", "--as-of", then.asOf.cut, "--json"], inEnvironment())
    expect(JSON.parse(stdout)).toEqual(then)
    expect(readdirSync(here.path(".tidemark", "as-of"))).not.toEqual([])
  })

  test("status shows the log, the groups and the balance", async () => {
    const status = await okJson(["status"], inEnvironment())
    expect(status.balance).toEqual({
      accepted: 16,
      projected: 15,
      duplicates: 1,
      quarantined: 0,
      lag: 0,
      exact: true,
      holds: null,
    })
    expect(status.groups.map(({ group }: { group: string }) => group)).toEqual(["live"])
    expect(await ok(["status"], inEnvironment())).toMatch(
      /accepted 16 = projected 15 \+ duplicates 1 \+ quarantined 0 \+ behind 0/,
    )
  })

  test("doctor looks at both servers, the log, the rights and the clocks", async () => {
    const { findings } = await okJson(["doctor"], inEnvironment())
    const outcomes = Object.fromEntries(findings.map(({ check, outcome }: any) => [check, outcome]))
    expect(outcomes).toMatchObject({
      NATS: "ok",
      // One server, one copy; and what no client can see.
      "NATS replication": "warning",
      "NATS fsync": "warning",
      "NATS dedupe window": "ok",
      "NATS room": "ok",
      "NATS retention": "ok",
      PostgreSQL: "ok",
      // The test's server runs without.
      "PostgreSQL fsync": "warning",
      "PostgreSQL rights": "ok",
      "PostgreSQL schema": "ok",
      "PostgreSQL pooler": "ok",
      "clock of NATS": "ok",
      "clock of PostgreSQL": "ok",
      log: "ok",
      positions: "ok",
      "read model, partition 2": "ok",
      quarantine: "warning",
    })
    for (const { found } of findings) expect(found).not.toMatch(/undefined|NaN|null/)
  })

  test("doctor fails where the role lacks rights, and says what to grant", async () => {
    const database = servers.postgres
    await database.query("CREATE ROLE reader LOGIN")
    await database.query("GRANT USAGE, CREATE ON SCHEMA tidemark TO reader")
    await database.query("GRANT SELECT ON ALL TABLES IN SCHEMA tidemark TO reader")
    await database.query("GRANT ALL ON tidemark.migrations, tidemark.server_migrations TO reader")
    const as = { ...env, TIDEMARK_POSTGRES_URL: database.url({ user: "reader" }) }
    const ran = await tidemark(["doctor", "--json"], { env: as, cwd: here.path() })
    expect(ran.code).toBe(1)
    const rights = JSON.parse(ran.stdout).findings.find(({ check }: any) => check === "PostgreSQL rights")
    expect(rights).toMatchObject({ outcome: "failure", found: expect.stringContaining("TO reader") })
    expect(rights.found).toMatch(/cells/)
  })

  test("status --watch goes on until it is stopped, also while the servers are away", async () => {
    const lines: Array<any> = []
    const watching = tidemark(["status", "--watch", "--json"], {
      ...inEnvironment(),
      onStart: (child) => {
        createInterface(child.stdout!).on("line", (line) => lines.push(JSON.parse(line)))
        void (async () => {
          await eventually("a line", async () => lines.length > 0)
          await servers.postgres.stop()
          await eventually("an error", async () => lines.some(({ error }) => error !== undefined))
          await servers.postgres.start()
          await eventually("a line after it", async () => lines.at(-1).error === undefined)
          child.kill("SIGINT")
        })()
      },
    })
    expect((await watching).stderr).toBe("")
    expect(lines.at(-1).balance).toMatchObject({ accepted: 16, lag: 0 })
  })

  test("servers that can't be reached are a sentence, without their secrets", async () => {
    const nobody = await freePort()
    const nats = { ...env, TIDEMARK_NATS_URL: `nats://ada:swordfish@127.0.0.1:${nobody}` }
    const withoutLog = await refused(3, ["status"], { env: nats, cwd: here.path() })
    expect(withoutLog).toMatch(/Could not connect to NATS at 127\.0\.0\.1:\d+: nothing listens there/)
    const postgres = { ...env, TIDEMARK_POSTGRES_URL: `postgres://ada:swordfish@127.0.0.1:${nobody}/x` }
    const withoutTables = await refused(3, ["query", "active-users"], { env: postgres, cwd: here.path() })
    expect(withoutTables).toMatch(/PostgreSQL at 127\.0\.0\.1:\d+ \(database x, role ada\) can't be used/)
    const none = await refused(2, ["status"], { env: { ...env, TIDEMARK_NATS_URL: "http://x" }, cwd: here.path() })
    expect(none).toMatch(/NATS option "servers" can't be used: "http:\/\/" is not supported/)
    expect([withoutLog, withoutTables, none].join()).not.toContain("swordfish")
  })

  test("another project on the same schema is refused, and the tables are left as they are", async () => {
    const other = { env: { ...env, TIDEMARK_PROJECT: "other" }, cwd: here.path() }
    const file = here.write("other.ndjson", JOURNEY)
    expect(await refused(3, ["import", file], other)).toMatch(
      /the schema holds the tables of project default, and this is project other; give each project a schema of its own \(TIDEMARK_POSTGRES_SCHEMA\)/,
    )
    await onBoth("query", "active-users")
  })

  test("--dir beside servers is refused: what is meant for one must not go to the other", async () => {
    expect(await refused(2, ["status", "--dir", "somewhere"], inEnvironment())).toMatch(/leave one of the two out/)
  })

  test("a configuration file in the working directory does the same as the environment", async () => {
    const { TIDEMARK_NATS_URL, TIDEMARK_POSTGRES_URL } = servers.env
    here.write(
      "tidemark.config.yaml",
      `nats: { url: "${TIDEMARK_NATS_URL}" }\npostgres: { url: "${TIDEMARK_POSTGRES_URL}" }\n`,
    )
    expect(await okJson(["query", "active-users"], { cwd: here.path() })).toMatchObject({ timeZone: "Europe/Berlin" })
  })
})

test("an import whose projection fails says what it did, and that the numbers follow", async () => {
  const url = new URL(env["TIDEMARK_POSTGRES_URL"]!)
  const proxy = await startProxy(Number(url.port))
  proxy.cutAt("INSERT INTO checkpoints", "before")
  url.port = String(proxy.port)
  const file = here.write("cut.ndjson", [{ ...JOURNEY[0]!, id: "cut" }])
  const through = { env: { ...env, TIDEMARK_POSTGRES_URL: url.href }, cwd: here.path() }
  const { code, stdout, stderr } = await tidemark(["import", file], through)
  await proxy.close()
  expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/^read +1\naccepted +1\n/) })
  expect(stderr).toMatch(/What was accepted is in the log, and its numbers follow with the next projection\./)
  expect(await okJson(["project", "--once"], inEnvironment())).toMatchObject({ events: 1 })
})
