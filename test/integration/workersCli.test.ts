import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { ok, okJson, type Ran, refused, scratch, tidemark } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { type Servers, startServers } from "../support/servers.ts"

const here = scratch()
const events = [...simulate({ users: 100, days: 30, seed: 8 })]
const unique = new Set(events.map(({ id }) => id)).size

let servers: Servers
let env: { readonly env: Readonly<Record<string, string>> }
/** The end of the worker that runs during all tests. */
let worker: Promise<Ran>
let stop: () => void

beforeAll(async () => {
  servers = await startServers()
  env = { env: servers.env }
})
afterAll(async () => {
  await servers.dispose()
  here.remove()
})

describe("the program on servers", () => {
  test("projects by itself while no worker runs", async () => {
    const file = here.write("first.ndjson", events.slice(0, 500))
    const report = await okJson(["import", file], env)
    expect(report).toMatchObject({ read: 500, accepted: 500, rejected: 0, conflicts: 0 })
    expect(report.duplicates).toBeGreaterThanOrEqual(0)
    expect((await okJson(["verify"], env)).differences).toEqual([])

    // What is paused waits for whoever lets it go on, and not only in workers.
    await ok(["pause"], env)
    const more = here.write("more.ndjson", [{ ...events[0]!, id: "one for later" }])
    expect(await okJson(["import", more], env)).toMatchObject({
      accepted: 1,
      waiting: expect.stringMatching(/^The workers don't go on: Paused by /),
    })
    expect(await refused(1, ["project", "--once"], env)).toMatch(/^The workers don't go on: Paused by /)
    await ok(["resume"], env)
    expect(await okJson(["project", "--once"], env)).toMatchObject({ events: 1 })
  })

  test("leaves it to a worker that runs, and waits until it has", async () => {
    const [last] = await servers.postgres.query("SELECT max(epoch) AS epoch FROM tidemark.checkpoints")
    worker = tidemark(["project"], {
      ...env,
      onStart: (child) => {
        stop = () => child.kill("SIGTERM")
      },
    })
    await eventually("it says that it is alive", async () => {
      const rows = await servers.postgres
        .query(`SELECT * FROM tidemark.checkpoints WHERE epoch > ${last!["epoch"]} AND projector_group = 'live'`)
        .catch(() => [])
      return rows.length === 16
    })
    const file = here.write("rest.ndjson", events.slice(500))
    expect(await okJson(["import", file], env)).toMatchObject({ accepted: events.length - 500, duplicates: null })
    expect((await okJson(["verify"], env)).differences).toEqual([])
    expect(await ok(["project", "--once"], env)).toBe(
      "Everything in the log is projected; workers do it (1 of them).\n",
    )
  })

  test("pauses, says so instead of waiting for ever, and resumes", async () => {
    expect(await refused(2, ["pause", "--partition", "99"], env)).toBe(
      "There is no partition 99: the log has 16, from 0 to 15.",
    )
    await ok(["pause"], env)
    const file = here.write("again.ndjson", [{ ...events[0]!, id: "one more" }])
    // The events are in the log, whatever the workers do: that is no failure.
    expect(await okJson(["import", file], env)).toMatchObject({
      accepted: 1,
      waiting: expect.stringMatching(/^The workers don't go on: Paused by .* Events wait in the log/),
    })
    const metric = here.write("later.yaml", "name: later\nversion: 1\nformula: { kind: event-count }\n")
    expect(await ok(["metrics", "apply", metric], env)).toMatch(
      /^later@1: applied\nRecorded; what is new is built when the workers go on\. The workers don't go on: Paused by /,
    )
    const next = here.write("next.yaml", "name: later\nversion: 2\nformula: { kind: event-count }\n")
    expect(await okJson(["metrics", "apply", next], env)).toMatchObject({
      applied: [{ name: "later", version: 2, outcome: "applied" }],
      comparisons: [],
      promoted: [],
      standstill: expect.stringMatching(/^The workers don't go on: Paused by /),
    })
    expect(await refused(1, ["rewind", "--to", "start"], env)).toMatch(/ The read model was left as it is\. /)
    expect(
      (await okJson(["query", "active-users", "--from", "2026-01-01", "--to", "2026-03-01"], env)).total.events,
    ).toBeGreaterThan(0)
    expect(await ok(["resume"], env)).toMatch(/^Goes on\. It was paused because:\n {2}Paused by /)
    expect(await ok(["resume"], env)).toBe("Nothing was paused.\n")
    await okJson(["project", "--once"], env)
  })

  test("rewinds and rebuilds, with the worker running", async () => {
    expect(await refused(2, ["rewind", "--to", "0/3"], env)).toMatch(/there is no going back to a place in between/)
    expect(await ok(["rewind", "--to", "start"], env)).toBe(
      "The read model was made anew from the beginning of the log.\n",
    )
    expect(await okJson(["rebuild", "--wipe"], env)).toMatchObject({ workers: 1 })
    const verified = await okJson(["verify"], env)
    expect(verified.differences).toEqual([])
    expect(verified.events).toBe(events.length + 2)
    const { total } = await okJson(["query", "active-users", "--from", "2026-01-01", "--to", "2026-03-01"], env)
    expect(total.events).toBeGreaterThan(0.8 * unique)
  })

  test("SIGTERM ends the worker with success", async () => {
    const sent = performance.now()
    stop()
    const { code, signal, stderr } = await worker
    expect(performance.now() - sent).toBeLessThan(10_000)
    expect({ code, signal }).toEqual({ code: 0, signal: null })
    expect(stderr).not.toMatch(/"level":"(ERROR|WARN)"/)
    expect(await servers.postgres.query("SELECT * FROM tidemark.workers_runners")).toEqual([])
    expect(await servers.postgres.query("SELECT * FROM tidemark.workers_locks")).toEqual([])
  })
})
