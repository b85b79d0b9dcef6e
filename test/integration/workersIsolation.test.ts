import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { resume } from "../../src/app/worker/operate.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkerProcess, type WorkersStage } from "../support/workers.ts"

const raws = [...simulate({ users: 150, days: 30, seed: 6 })]

let stage: WorkersStage
beforeAll(async () => {
  stage = await openStage(1)
})
afterAll(() => stage.close())

const failures = () => stage.run(ReadModelQueries.use((queries) => queries.failures))

describe("an event", () => {
  test("that ends the process is found, quarantined, and everything else counts", async () => {
    const deadly: JsonObject = { ...raws[700]!, id: "deadly", event: "deadly" }
    await stage.append([...raws.slice(0, 700), deadly, ...raws.slice(700, 1500)].map((raw) => accept(raw)))

    // As a supervisor does.
    let deaths = 0
    let worker: WorkerProcess
    for (;;) {
      worker = stage.start({ deadly: "deadly" })
      const ended = await Promise.race([
        new Promise<true>((resolve) => worker.child.once("exit", () => resolve(true))),
        stage.caughtUp().then(() => false),
      ])
      if (!ended) break
      expect(worker.child.signalCode).toBe("SIGKILL")
      deaths++
    }
    console.log(`found after ${deaths} deaths`)
    expect(deaths).toBeGreaterThan(0)
    expect(deaths).toBeLessThan(9)
    const found = await failures()
    expect(found).toMatchObject([{ partition: 0, metric: "*" }])
    expect(found[0]!.cause).toMatch(/^The worker ended without a word whenever it handled this event/)
    await stage.expectExact()
    await worker.stop()
  })

  test("that a measure can't fold is quarantined; too many of them pause the partition", async () => {
    const worker = stage.start({ limits: { budgetShare: 0.1, budgetEvents: 20 } })
    const unfoldable = (count: number, from: number) =>
      Array.from({ length: count }, (_, n) =>
        accept({
          ...raws[0]!,
          type: "track",
          event: "feature_used",
          id: `unfoldable ${from + n}`,
          properties: { feature: "unfoldable" },
        }),
      )
    await stage.append([...unfoldable(10, 0), ...raws.slice(1500, 1600).map((raw) => accept(raw))])
    await stage.caughtUp()
    const before = (await failures()).length
    expect(before).toBeGreaterThan(1)
    await eventually("it goes on", async () => worker.stateOf(0)?.phase === "running")
    expect(worker.stateOf(0)!.quarantined).toBe(10)

    await stage.append(unfoldable(50, 10))
    await eventually("the partition is paused", async () => worker.stateOf(0)?.phase === "paused")
    expect(worker.stateOf(0)!.trouble!.sentence).toMatch(
      /^60 of the last \d+ events could not be folded and went to quarantine, more than the budget of 10 %/,
    )
    await stage.append(raws.slice(1600, 1700).map((raw) => accept(raw)))
    expect(await stage.run(resume(0))).toMatchObject([{ cause: "budget" }])
    await stage.caughtUp()
    await eventually("it goes on", async () => worker.stateOf(0)?.phase === "running")
    expect((await worker.stop()).code).toBe(0)
  })
})
