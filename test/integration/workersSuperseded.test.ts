import { afterAll, beforeAll, expect, test } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkersStage } from "../support/workers.ts"

let stage: WorkersStage

beforeAll(async () => {
  stage = await openStage(4)
  await stage.append(Array.from(simulate({ users: 30, days: 5, seed: 6 }), (raw) => accept(raw)))
})
afterAll(() => stage.close())

/** Worked on by two, so that one of them has no part in coordinating. */
const ended = async (change: string) => {
  const workers = [stage.start(), stage.start()]
  await stage.caughtUp()
  await eventually("both own partitions", async () => workers.every((worker) => worker.owns().length > 0))
  await stage.postgres.query(change)
  await eventually("both have ended", async () => workers.every((worker) => !worker.isAlive()))
  return workers.map(({ child, log }) => ({ code: child.exitCode, log: log() }))
}

test("workers end when another version makes the tables its own, and leave them alone", async () => {
  const workers = await ended(
    `INSERT INTO tidemark.migrations (migration_id, name) VALUES (99, 'newer');
     UPDATE tidemark.checkpoints SET epoch = nextval('tidemark.epochs')`,
  )
  for (const { code, log } of workers) {
    expect(code).toBe(1)
    expect(log).toContain("another version of Tidemark has changed its schema meanwhile")
  }
  await stage.postgres.query("DELETE FROM tidemark.migrations WHERE migration_id = 99")
  await stage.expectExact()
})

test("workers end when their tables are gone, and those that are started next make them anew", async () => {
  for (const { code, log } of await ended("DROP SCHEMA tidemark CASCADE")) {
    expect(code).toBe(1)
    expect(log).toMatch(
      /relation "\w+" does not exist: somebody has dropped it; what is started next makes the tables anew/,
    )
  }
  const next = stage.start()
  await eventually("the tables are there", async () => next.snapshot() !== undefined)
  await stage.caughtUp()
  await stage.expectExact()
})
