import zlib from "node:zlib"
import { describe, expect, test } from "vitest"
import { line, type Outcome, runOn } from "./fixtures.ts"

/** Ids of events that bring none. */

describe("event ids", () => {
  test("a file imported twice, compressed or not, gives the same ids, and equal lines of it two", async () => {
    for (const contents of [`${line({})}\n${line({})}\n`, "ts,event\n2025-01-01,a\n2025-01-01,a\n"]) {
      const ids = (outcome: Outcome): ReadonlyArray<string> => outcome.events.map((event) => event.id)
      const first = ids(await runOn(contents, {}, "log.txt"))
      expect(first[0]).toMatch(/^[0-9a-f]{32}$/)
      expect(new Set(first).size).toBe(2)
      expect(ids(await runOn(contents, {}, "log.txt"))).toEqual(first)
      expect(ids(await runOn(zlib.gzipSync(contents), {}, "log.txt.gz"))).toEqual(first)
      expect(ids(await runOn(contents, {}, "other.txt"))).not.toEqual(first)
    }
  })

  test("a file that has grown keeps the ids of its old lines", async () => {
    const short = await runOn(line({}), {}, "log")
    const long = await runOn(`${line({})}\n${line({})}\n`, {}, "log")
    expect(long.events[0]?.id).toBe(short.events[0]?.id)
  })

  test("ids of two files that differ only in their first record differ throughout", async () => {
    const one = await runOn(`${line({ x: 1 })}\n${line({})}\n`, {}, "log")
    const two = await runOn(`${line({ x: 2 })}\n${line({})}\n`, {}, "log")
    expect(one.events[1]?.id).not.toBe(two.events[1]?.id)
  })
})
