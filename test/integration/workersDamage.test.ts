import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { chainOf } from "../contract/eventLog.ts"
import { accept } from "../support/accept.ts"
import { ok, okJson, refusal, refused, tidemark } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkerProcess, type WorkersStage } from "../support/workers.ts"
import { copyOf, putBackAndWriteOn, undoAll } from "./jetStreamLog/fixtures.ts"

const events = Array.from(simulate({ users: 60, days: 30, seed: 7 }), (raw) => accept(raw))
let stage: WorkersStage
beforeEach(async () => {
  stage = await openStage(2)
})
afterEach(async () => {
  await stage.close()
  await undoAll()
})

/** Where each partition stands, by partition: the database gives rows in any order. */
const positions = async () =>
  (await stage.look()).ownerships.toSorted((a, b) => a.partition - b.partition).map(({ sequence }) => sequence)

/** Waits until both partitions have failed, for the reason that they must have. */
const failed = async (worker: WorkerProcess): Promise<void> => {
  for (const partition of [0, 1]) {
    await eventually("the partition has failed", async () => worker.stateOf(partition)?.phase === "failed")
    expect(worker.stateOf(partition)!.trouble!.sentence).toMatch(/put back to an older copy|restored or replaced/)
  }
}

describe("a log that was put back to an older copy under a running worker", () => {
  test("stops it with the place named, and it goes on when an operator accepts the log", async () => {
    const worker = stage.start()
    await stage.append(events.slice(0, 300))
    await stage.caughtUp()
    const copy = await copyOf(stage.nats)
    await stage.append(events.slice(300, 600))
    await stage.caughtUp()
    const before = await positions()

    await stage.nats.kill()
    rmSync(stage.nats.storeDirectory, { recursive: true })
    cpSync(copy, stage.nats.storeDirectory, { recursive: true })
    await stage.nats.start()
    await failed(worker)
    const { stops } = await eventually("everybody can know", async () => {
      const outlook = await stage.look()
      return outlook.stops.length >= 3 && outlook
    })
    expect(stops.map(({ group }) => group).toSorted()).toEqual(["coordinator", "live", "live"])
    expect(await positions()).toEqual(before)
    expect(worker.isAlive()).toBe(true)

    const env = { env: { TIDEMARK_NATS_URL: stage.nats.url, TIDEMARK_POSTGRES_URL: stage.postgres.url() } }
    const shown = await tidemark(["status", "--json"], env)
    expect(refusal(shown, 4)).toMatch(/Put the right copy of the log back, or give up what this one doesn't hold/)
    expect(JSON.parse(shown.stdout).coordinator.sentence).toMatch(/put back to an older copy|restored or replaced/)
    expect(worker.log()).toContain("The log is not what it was, and the worker waits for it.")
    expect(await refused(4, ["rewind", "--to", "start"], env)).toMatch(/it was restored or replaced\. Nothing was read/)
    expect(await positions()).toEqual(before)
    await ok(["rewind", "--to", "start", "--accept-log"], env)
    expect((await okJson(["verify"], env)).differences).toEqual([])
    await eventually("the worker goes on", async () => [0, 1].every((n) => worker.stateOf(n)?.phase === "running"))
    for (const partition of [0, 1]) expect(worker.log()).toContain(`Group live, partition ${partition} goes on.`)
    await eventually("all is well", async () => (await stage.look()).stops.length === 0)
    await ok(["rebuild"], env)
    expect((await worker.stop()).code).toBe(0)
  })

  test("stops one that has read nothing since it started, also where what comes next is a chain that begins", async () => {
    const first = stage.start()
    await stage.append(events.slice(0, 300))
    await stage.caughtUp()
    const copied = Math.max(...(await positions()))
    const copy = await copyOf(stage.nats)
    await stage.append(events.slice(300, 600))
    await stage.caughtUp()
    expect((await first.stop()).code).toBe(0)
    const worker = stage.start()
    await eventually("it follows", async () => [0, 1].every((n) => worker.stateOf(n)?.phase === "running"))
    const before = await positions()

    // They fill what it has read, so that what comes to it next begins a chain and shows no gap.
    const last = Math.max(...before)
    const { partition } = (await stage.look()).ownerships.find(({ sequence }) => sequence === last)!
    const hidden = chainOf(last - copied, { writer: "hidden", partition })
    const next = [0, 1].flatMap((partition) => chainOf(5, { writer: `next-${partition}`, partition }))
    await putBackAndWriteOn(stage.nats, copy, hidden, next)
    await stage.nats.start()
    await failed(worker)
    expect(await positions()).toEqual(before)
  })
})

test("a PostgreSQL that was put back to an older copy: workers that idle go on from there, without new events", async () => {
  const workers = [stage.start(), stage.start()]
  await stage.append(events.slice(0, 300))
  await stage.caughtUp()
  const older = await positions()
  await stage.postgres.copy()
  await stage.append(events.slice(300, 600))
  await stage.caughtUp()
  const before = await positions()
  expect(before).not.toEqual(older)
  await stage.postgres.putBack()
  await stage.expectExact()
  expect(await positions()).toEqual(before)
  expect(workers.every((worker) => worker.isAlive())).toBe(true)
})

test("batches that were sent again when the log had forgotten them are passed over, and count once", async () => {
  const worker = stage.start()
  await stage.append(events.slice(0, 300))
  await stage.caughtUp()
  const nats = await connect({ servers: stage.nats.url })
  const { streams } = await jetstreamManager(nats)
  const stream = "tidemark_default"
  const { config } = await streams.info(stream)
  const storeAgain = async (sequence: number) => {
    await streams.update(stream, { ...config, duplicate_window: 100_000_000 })
    const { subject, data, header } = (await streams.getMessage(stream, { seq: sequence }))!
    await eventually("it is stored again", async () => {
      const { data: answer } = await nats.request(subject, data, { headers: header, timeout: 5000 })
      return JSON.parse(Buffer.from(answer).toString()).duplicate !== true
    })
    await streams.update(stream, config)
  }
  for (const sequence of [1, 2]) await storeAgain(sequence)
  await stage.expectExact()
  await stage.append(events.slice(300, 600))
  // Its writer has gone on since.
  await storeAgain(1)
  await stage.expectExact()
  await nats.close()
  expect([0, 1].map((partition) => worker.stateOf(partition)?.trouble)).toEqual([null, null])
  const env = { env: { TIDEMARK_NATS_URL: stage.nats.url, TIDEMARK_POSTGRES_URL: stage.postgres.url() } }
  const to = join(mkdtempSync(join(tmpdir(), "tidemark-export-")), "archive")
  expect(await okJson(["log", "export", to], env)).toMatchObject({ events: 600 })
  await ok(["rebuild", "--wipe"], env)
  await stage.expectExact()
  // As an import into this log that was cut off at its very end would find it.
  expect(await okJson(["log", "import", to], env)).toMatchObject({ events: 600 })
  rmSync(dirname(to), { recursive: true })
})
