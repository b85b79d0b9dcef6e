import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, test } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { okJson, runEveryFresh, scratch, startNode, tidemark } from "../support/cli.ts"

/** kill -9 at moments that nobody chose: nothing acknowledged is lost, nothing counts twice, and the store always opens again. */

runEveryFresh()

const here = scratch()
const WRITER = fileURLToPath(new URL("writer.ts", import.meta.url))

afterAll(() => here.remove())

/** What is known from outside of all that was written to a store. */
interface Known {
  readonly acknowledged: Set<number>
  /** First number of the next writer's events; each writer has a million of its own. */
  next: number
  /** Times that a writer found the store to be right. */
  looks: number
}

const WRITER_EVENTS = 1_000_000

/** Most events that can be on the way when a writer is killed: those of one call. */
const TAIL_MAX = 25

const expectRight = (known: Known, line: { held: ReadonlyArray<number>; [key: string]: unknown }): void => {
  const held = new Set(line.held)
  expect(known.acknowledged.difference(held)).toEqual(new Set())
  // No id is in the log twice, and each that is there counts once: acknowledged, or of a tail that arrived all the same.
  expect(line).toEqual({ held: [...line.held], differences: [], counted: held.size, named: held.size })
  expect(line.held).toHaveLength(held.size)
  const tails = Map.groupBy(held.difference(known.acknowledged), (n) => Math.floor(n / WRITER_EVENTS))
  for (const tail of tails.values()) expect(tail.length).toBeLessThanOrEqual(TAIL_MAX)
  known.looks++
}

/**
 * Runs a writer, and kills it so many ms after it began to write, or after its start. Without a moment it is let look at
 * the store and is killed then.
 */
const runWriter = async (
  directory: string,
  known: Known,
  work: string,
  moment: { readonly sinceStart?: number; readonly sinceLook?: number },
): Promise<void> => {
  const child = startNode(WRITER, [directory, work, String(known.next), here.path("metrics.yaml")])
  known.next += WRITER_EVENTS
  child.stdin!.end()
  let errors = ""
  child.stderr!.on("data", (block: Buffer) => (errors += block.toString("utf8")))
  const killIn = (millis: number) => void sleep(millis).then(() => child.kill("SIGKILL"))
  if (moment.sinceStart !== undefined) killIn(moment.sinceStart)
  const ended = once(child, "exit")
  for await (const text of createInterface({ input: child.stdout! })) {
    const line = JSON.parse(text)
    if ("held" in line) {
      expectRight(known, line)
      if (moment.sinceStart === undefined) killIn(moment.sinceLook ?? 0)
    } else {
      for (let n = line.acknowledged[0]; n < line.acknowledged[1]; n++) known.acknowledged.add(n)
    }
  }
  const [code, signal] = await ended
  expect({ code, signal, errors }).toEqual({ code: null, signal: "SIGKILL", errors: "" })
}

const newKnown = (): Known => ({ acknowledged: new Set(), next: 0, looks: 0 })

const random = (from: number, to: number) => from + Math.random() * (to - from)

describe("a program that tracks", () => {
  test("killed in its very first opening, again and again", async () => {
    const directory = here.path("first")
    const known = newKnown()
    for (const millis of [random(300, 900), random(900, 2000), random(2000, 3500), random(3500, 6000)]) {
      await runWriter(directory, known, "track", { sinceStart: millis })
    }
    await runWriter(directory, known, "track", { sinceLook: 100 })
    await runWriter(directory, known, "track", {})
    expect(known.looks).toBeGreaterThanOrEqual(2)
    expect(known.acknowledged.size).toBeGreaterThan(0)
  })

  test("killed while it tracks, projects, rebuilds and applies metrics", async () => {
    const directory = await here.store("working")
    here.write(
      "metrics.yaml",
      "name: to_click\nversion: 1\nformula: { kind: funnel, steps: [{ event: page_view }, { event: click }] }\n",
    )
    const known = newKnown()
    const works = ["metrics", "track", "rebuild-beside", "project", "rebuild", "rebuild-beside"]
    for (let round = 0; round < 16; round++) {
      const work = works[round % works.length]!
      const moment = round % 5 === 4 ? { sinceStart: random(200, 2500) } : { sinceLook: random(0, 500) }
      await runWriter(directory, known, work, moment)
    }
    await runWriter(directory, known, "track", {})
    expect(known.looks).toBeGreaterThanOrEqual(12)
    expect(known.acknowledged.size).toBeGreaterThan(100)
  })
})

describe("an import", () => {
  const events = [...simulate({ users: 700, days: 30, seed: 9 })]
  const unique = new Map(events.map(({ id, event, type }) => [id, event ?? type]))

  const file = here.write("events.ndjson", events)

  const expectAll = async (store: string) => {
    const { partitions } = await okJson(["status", "--dir", store])
    expect(partitions[0]).toMatchObject({ projected: unique.size, conflicts: 0, lag: 0 })
    expect(partitions[0].accepted).toBe(unique.size + partitions[0].duplicates)
    const verified = await okJson(["verify", "--dir", store])
    expect(verified.differences).toEqual([])
  }

  test("killed anywhere, and done again, gives exact numbers", async () => {
    const store = await here.store("import")
    for (let round = 0; round < 5; round++) {
      const ran = await tidemark(["import", file, "--dir", store], {
        stdin: "",
        onStart: (child) => void sleep(random(700, 3000)).then(() => child.kill("SIGKILL")),
      })
      expect(ran.stderr).toBe("")
    }
    const report = await okJson(["import", file, "--dir", store])
    expect(report).toMatchObject({ read: events.length, accepted: events.length, rejected: 0, conflicts: 0 })
    await expectAll(store)
  })

  test.each(["SIGINT", "SIGTERM"] as const)("%s ends it promptly, and nothing is wrong afterwards", async (signal) => {
    const store = await here.store(signal)
    let sent = 0
    const ran = await tidemark(["import", "-", "--dir", store], {
      onStart: (child) => {
        // More than one append, and then a writer that has gone quiet.
        child.stdin!.write(events.map((event) => `${JSON.stringify(event)}\n`).join(""))
        const whenAtWork = async () => {
          while (readFileSync(join(store, "lock.pid"), "utf8") !== String(child.pid)) await sleep(20)
          await sleep(1500)
          sent = performance.now()
          child.kill(signal)
        }
        void whenAtWork()
      },
    })
    expect(performance.now() - sent).toBeLessThan(10_000)
    expect({ code: ran.code, signal: ran.signal, stderr: ran.stderr }).toEqual({ code: 130, signal: null, stderr: "" })
    expect(await okJson(["import", file, "--dir", store])).toMatchObject({ rejected: 0, conflicts: 0 })
    if (signal === "SIGTERM") await expectAll(store)
  })
})
