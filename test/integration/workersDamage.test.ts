import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { ok, okJson, refused } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkersStage } from "../support/workers.ts"

const events = Array.from(simulate({ users: 60, days: 30, seed: 7 }), (raw) => accept(raw))
const copy = mkdtempSync(join(tmpdir(), "tidemark-older-"))

let stage: WorkersStage
beforeAll(async () => {
  stage = await openStage(2)
})
afterAll(async () => {
  await stage.close()
  rmSync(copy, { recursive: true, force: true })
})

describe("a log that was put back to an older copy under a running worker", () => {
  test("stops it with the place named, and it goes on when an operator accepts the log", async () => {
    const worker = stage.start()
    await stage.append(events.slice(0, 300))
    await stage.caughtUp()
    await stage.nats.stop()
    cpSync(stage.nats.storeDirectory, copy, { recursive: true })
    await stage.nats.start()
    await stage.append(events.slice(300, 600))
    await stage.caughtUp()
    const before = (await stage.look()).ownerships.map(({ sequence }) => sequence)

    await stage.nats.kill()
    rmSync(stage.nats.storeDirectory, { recursive: true })
    cpSync(copy, stage.nats.storeDirectory, { recursive: true })
    await stage.nats.start()
    for (const partition of [0, 1]) {
      await eventually("the partition has failed", async () => worker.stateOf(partition)?.phase === "failed")
      expect(worker.stateOf(partition)!.trouble!.sentence).toMatch(/put back to an older copy|restored or replaced/)
    }
    const { stops, ownerships } = await eventually("everybody can know", async () => {
      const outlook = await stage.look()
      return outlook.stops.length >= 3 && outlook
    })
    expect(stops.map(({ group }) => group).toSorted()).toEqual(["coordinator", "live", "live"])
    expect(ownerships.map(({ sequence }) => sequence)).toEqual(before)
    expect(worker.isAlive()).toBe(true)

    const env = { env: { TIDEMARK_NATS_URL: stage.nats.url, TIDEMARK_POSTGRES_URL: stage.postgres.url() } }
    expect(await refused(4, ["rewind", "--to", "start"], env)).toMatch(/it was restored or replaced\. Nothing was read/)
    expect((await stage.look()).ownerships.map(({ sequence }) => sequence)).toEqual(before)
    await ok(["rewind", "--to", "start", "--accept-log"], env)
    expect((await okJson(["verify"], env)).differences).toEqual([])
    await eventually("the worker goes on", async () => [0, 1].every((n) => worker.stateOf(n)?.phase === "running"))
    await eventually("all is well", async () => (await stage.look()).stops.length === 0)
    await ok(["rebuild"], env)
    expect((await worker.stop()).code).toBe(0)
  })
})
