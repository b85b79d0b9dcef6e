import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"
import { openStage, type WorkerProcess, type WorkersStage } from "../support/workers.ts"

/** A made-up product: repeats, late events, aliases and devices that become known. */
const events: ReadonlyArray<Event> = Array.from(simulate({ users: 400, days: 30, seed: 3 }), (raw) => accept(raw))
let appended = 0
const some = (count: number): ReadonlyArray<Event> => events.slice(appended, (appended += count))

let stage: WorkersStage
beforeAll(async () => {
  stage = await openStage(6)
})
afterAll(() => stage.close())

/** Waits until workers own as many partitions each as given, in any order. */
const owning = (workers: ReadonlyArray<WorkerProcess>, counts: ReadonlyArray<number>) =>
  eventually(`partitions are owned ${counts.join(" + ")}`, async () => {
    const owned = workers.map((worker) => worker.owns())
    const all = owned.flat()
    return (
      new Set(all).size === all.length &&
      String(owned.map(({ length }) => length).toSorted()) === String(counts.toSorted()) &&
      owned
    )
  })

describe("workers", () => {
  test("share the partitions evenly, join and leave, and the numbers are exact", async () => {
    const first = stage.start()
    await stage.append(some(1000))
    await owning([first], [6])
    await stage.caughtUp()
    const second = stage.start()
    await owning([first, second], [3, 3])
    const third = stage.start()
    await stage.append(some(1000))
    await owning([first, second, third], [2, 2, 2])

    const { code, millis } = await second.stop()
    expect(code).toBe(0)
    expect(millis).toBeLessThan(10_000)
    const left = performance.now()
    await owning([first, third], [3, 3])
    console.log(`after SIGTERM: ended in ${millis} ms, taken over in ${performance.now() - left} ms`)
    expect(performance.now() - left).toBeLessThan(5_000)

    await third.kill()
    const killed = performance.now()
    await stage.append(some(500))
    await owning([first], [6])
    console.log(`after SIGKILL: taken over in ${performance.now() - killed} ms`)
    expect(performance.now() - killed).toBeLessThan(15_000)
    await stage.expectExact()
    await first.stop()
  })
  test("a frozen worker loses its partitions, and its step is refused when it thaws", async () => {
    // So long that what it holds uncommitted is due when it thaws.
    const frozen = stage.start({ limits: { lingerTimes: 1_000_000, lingerMillis: 8_000 } })
    await owning([frozen], [6])
    await stage.append(some(500))
    await stage.caughtUp()
    // What the worker last said of itself may be of before its first steps, whose events are others in number.
    await stage.append(some(400))
    await eventually("it has folded what it has not committed", async () => {
      return frozen.snapshot()?.partitions.reduce((sum, { pending }) => sum + pending, 0) === 400
    })
    frozen.child.kill("SIGSTOP")
    const other = stage.start()
    await owning([other], [6])
    await stage.append(some(500))
    await stage.caughtUp()
    frozen.child.kill("SIGCONT")
    await eventually("its step is refused", async () => frozen.log().includes("Nothing was written."))
    await owning([frozen, other], [3, 3])
    await stage.append(some(500))
    await stage.expectExact()
    expect((await frozen.stop()).code).toBe(0)
    expect((await other.stop()).code).toBe(0)
  })
})
