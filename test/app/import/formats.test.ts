import { describe, expect, test } from "vitest"
import { CSV, line, reasons, runOn } from "./fixtures.ts"

/** How the format of a file is told. */

describe("formats", () => {
  test("a brace means NDJSON, of Tidemark's or Segment's shape", async () => {
    const segment = {
      type: "page",
      name: "Home",
      messageId: "m1",
      anonymousId: "d",
      timestamp: "2025-01-01",
    }
    const outcome = await runOn(`\n${line({ id: "t1" })}\n${JSON.stringify(segment)}\n`)
    expect(outcome.events.map(({ id, name }) => [id, name])).toEqual([
      ["t1", "a"],
      ["m1", "page_view"],
    ])
  })

  test("a file of JSON arrays, or other JSON, is NDJSON whose lines are turned away", async () => {
    expect(reasons(await runOn(`[${line({})}]\n${line({})}\n`))).toEqual([[1, "not-an-object"]])
    expect(reasons(await runOn("12\n"))).toEqual([[1, "not-an-object"]])
  })

  test.each([",", ";", "\t"])("the delimiter %j is found in the header", async (delimiter) => {
    const outcome = await runOn(CSV.replaceAll(",", delimiter))
    expect(outcome.events[0]).toMatchObject({
      name: "click",
      body: { properties: { plan: "pro" } },
    })
  })

  test("a single column is CSV if its name is known", async () => {
    const outcome = await runOn("ts\n2025-01-01\n", { eventName: "visit" })
    expect(outcome.events).toMatchObject([{ name: "visit", userId: null }])
    expect((await runOn("when\n2025-01-01\n", { eventName: "visit", map: { time: "when" } })).events).toHaveLength(1)
  })

  test("a text, or no text at all, is no format", async () => {
    const prose = await runOn("Dear reader\nhow are you\n")
    expect(prose.error?._tag).toBe("FormatUnknown")
    expect(prose.error?.message).toContain("--format")
    expect((await runOn(Buffer.from("PK\u0003\u0004\0\0,\n"))).error?._tag).toBe("FormatUnknown")
    expect((await runOn(Buffer.from(CSV, "utf16le"))).error?._tag).toBe("FormatUnknown")
  })

  test("a format that is given is not guessed", async () => {
    expect(reasons(await runOn(CSV, { format: "tidemark" }))).toEqual([
      [1, "not-json"],
      [2, "not-json"],
      [3, "not-json"],
    ])
    expect((await runOn("{},ts\nclick,2025-01-01\n", { format: "csv", map: { event: "{}" } })).events).toHaveLength(1)
  })
})
