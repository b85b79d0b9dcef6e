import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkerProcess, type WorkersStage } from "../support/workers.ts"

const events: ReadonlyArray<Event> = Array.from(simulate({ users: 300, days: 30, seed: 4 }), (raw) => accept(raw))
let appended = 0
const some = (count: number): ReadonlyArray<Event> => events.slice(appended, (appended += count))

let stage: WorkersStage
let workers: ReadonlyArray<WorkerProcess>

beforeAll(async () => {
  stage = await openStage(4)
  workers = [stage.start(), stage.start()]
  await stage.append(some(500))
  await stage.caughtUp()
})
afterAll(() => stage.close())

const saying = (name: "log" | "postgres", trouble: boolean) =>
  eventually(`all say that ${name} is ${trouble ? "away" : "back"}`, async () =>
    workers.every((worker) => {
      const found = worker.snapshot()?.dependencies[name]
      return found !== undefined && (found !== null) === trouble
    }),
  )

/** All is back, and everything that was appended meanwhile counts once; nobody had to start a worker again. */
const expectRecovered = async (what: string) => {
  const began = performance.now()
  await saying("log", false)
  await saying("postgres", false)
  await stage.append(some(200))
  await stage.caughtUp()
  console.log(`${what}: recovered in ${Math.round(performance.now() - began)} ms`)
  await stage.expectExact()
  expect(workers.every((worker) => worker.isAlive())).toBe(true)
}

describe("workers wait for", () => {
  test("Postgres", async () => {
    await stage.postgres.stop()
    await stage.append(some(300))
    await saying("postgres", true)
    await stage.postgres.start()
    await expectRecovered("Postgres")
    for (const worker of workers) {
      expect(worker.log().match(/PostgreSQL is away, and the worker waits for it\. .*/g)).toHaveLength(1)
      expect(worker.log().match(/PostgreSQL is back after \d+ s\./g)).toHaveLength(1)
      expect(worker.log()).not.toMatch(/still unhealthy|has recovered/)
      expect(worker.log()).not.toMatch(/^\s+at |\bat .+:\d+:\d+/m)
    }
  })

  test("the log", async () => {
    await stage.nats.kill()
    await saying("log", true)
    expect(workers[0]!.snapshot()!.dependencies.postgres).toBeNull()
    await stage.nats.start()
    await expectRecovered("the log")
    for (const worker of workers) expect(worker.log()).toMatch(/The log is away.*[^]*The log is back after \d+ s\./)
  })

  test("both, and Postgres is back first", async () => {
    await Promise.all([stage.nats.kill(), stage.postgres.kill()])
    await saying("postgres", true)
    await saying("log", true)
    await stage.postgres.start()
    await saying("postgres", false)
    await stage.nats.start()
    await expectRecovered("both, Postgres first")
  })

  test("both, and the log is back first", async () => {
    await Promise.all([stage.nats.stop(), stage.postgres.stop()])
    await saying("postgres", true)
    await stage.nats.start()
    await stage.append(some(300))
    await stage.postgres.start()
    await expectRecovered("both, log first")
  })

  test("both, and no longer where their clocks are put back by an hour meanwhile", async () => {
    const putClocksBack = () =>
      Promise.all(
        workers.map(async (worker) => {
          const before = worker.snapshot()!.now
          worker.putClockBack()
          await eventually("its clock is put back", async () => worker.snapshot()!.now < before)
        }),
      )
    await Promise.all([stage.nats.kill(), stage.postgres.kill()])
    await saying("postgres", true)
    await saying("log", true)
    await putClocksBack()
    await Promise.all([stage.nats.start(), stage.postgres.start()])
    await expectRecovered("both, with the clocks put back")
    // Also while all is well, and for who takes over.
    await putClocksBack()
    await stage.append(some(300))
    await stage.expectExact()
    await workers[0]!.kill()
    await stage.append(some(300))
    await stage.expectExact()
  })
})
