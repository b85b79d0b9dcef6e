import { describe, expect, test } from "vitest"
import { RAW_LENGTH_MAX } from "../../../src/app/import/row.ts"
import { EVENT_BYTES_MAX } from "../../../src/domain/event/size.ts"
import { TimeZone } from "../../../src/domain/time/TimeZone.ts"
import { line, reasons, runOn } from "./fixtures.ts"

/** Lines of JSON: which become events, and which are turned away. */

describe("NDJSON", () => {
  test("blank lines are skipped but numbered; a line that is not JSON does not stop the rest", async () => {
    const outcome = await runOn(`${line({})}\n\n  \r\nnonsense of ann@example.org\n${line({})}\r\n`)
    expect(outcome.events).toHaveLength(2)
    expect(reasons(outcome)).toEqual([[4, "not-json"]])
    expect(outcome.rejected[0]).toMatchObject({ raw: "nonsense of ann@example.org" })
    expect(outcome.rejected[0]?.rejection.detail).not.toContain("ann")
  })

  test("a complaint says where, and quotes nothing", async () => {
    const outcome = await runOn(`{"secret": "hunter2"\n{"secret" "hunter2"}\n`)
    expect(outcome.rejected.map((row) => row.rejection.detail).join()).not.toMatch(/secret|hunter/)
    expect(outcome.rejected[1]?.rejection.detail).toBe("The line is not JSON: it stops being so at column 11.")
  })

  test("a last line without a line feed counts if it is whole, else it is incomplete", async () => {
    expect((await runOn(`${line({})}\n${line({})}`)).events).toHaveLength(2)
    const cut = await runOn(`${line({})}\n${line({}).slice(0, 20)}`)
    expect(cut.events).toHaveLength(1)
    expect(reasons(cut)).toEqual([[2, "line-incomplete"]])
  })

  test("what admission turns away is rejected with its line and reason", async () => {
    const outcome = await runOn(
      [
        line({ event: undefined }),
        line({ event: "" }),
        line({ timestamp: undefined }),
        line({ timestamp: "yesterday" }),
        line({ timestamp: -1 }),
        line({ timestamp: "1969-12-31T23:59:59Z" }),
        line({ timestamp: "2100-01-01T00:00:00Z" }),
        line({ timestamp: "2025-01-01T00:00:00+99:00" }),
        line({ type: "nonsense" }),
        line({ type: "alias" }),
      ].join("\n"),
    )
    expect(outcome.events).toEqual([])
    expect(reasons(outcome)).toEqual([
      [1, "name-missing"],
      [2, "name-missing"],
      [3, "time-missing"],
      [4, "time-unreadable"],
      [5, "time-before-1970"],
      [6, "time-before-1970"],
      [7, "time-in-future"],
      [8, "time-unreadable"],
      [9, "kind-unknown"],
      [10, "alias-incomplete"],
    ])
  })

  test("odd but possible lines are accepted", async () => {
    const outcome = await runOn(
      [
        line({ userId: undefined }),
        line({ userId: "" }),
        line({ timestamp: 0 }),
        line({ timestamp: "2025-06-01T12:00:00+05:45" }),
        line({ timestamp: "2025-06-01 12:00" }),
        line({ properties: [1, 2] }),
      ].join("\n"),
      { zone: TimeZone.of("Asia/Kathmandu")! },
    )
    expect(outcome.rejected).toEqual([])
    const [personless, refused, epoch, offset, local, odd] = outcome.events
    expect(personless).toMatchObject({ userId: null, anonymousId: null, warnings: [] })
    expect(refused).toMatchObject({ userId: null, warnings: ["user-id-refused"] })
    expect(epoch?.time).toBe(0)
    expect(offset?.time).toBe(Date.parse("2025-06-01T06:15:00Z"))
    expect(local?.time).toBe(offset?.time)
    expect(odd).toMatchObject({
      warnings: ["properties-not-an-object"],
      body: { properties: [1, 2] },
    })
  })

  test("an event of 2 MB is too large, the first 64 KiB of it are kept, and the next line counts", async () => {
    const big = line({ properties: { text: "é".repeat(1024 * 1024) } })
    for (const end of [`\n${line({ event: "after" })}\n`, ""]) {
      const outcome = await runOn(`${line({})}\n${big}${end}`)
      expect(reasons(outcome)).toEqual([[2, "too-large"]])
      const raw = outcome.rejected[0]!.raw
      expect(big.startsWith(raw)).toBe(true)
      expect(Buffer.byteLength(raw)).toBeGreaterThan(RAW_LENGTH_MAX - 4)
      expect(Buffer.byteLength(raw)).toBeLessThanOrEqual(RAW_LENGTH_MAX)
      expect(outcome.events.map((event) => event.name)).toEqual(end === "" ? ["a"] : ["a", "after"])
    }
  })

  test("a line nested 150,000 levels deep goes to quarantine, and the next line counts", async () => {
    const deep = `{"event":"a","timestamp":"2025-01-01","properties":{"x":${"[".repeat(150_000)}${"]".repeat(150_000)}}}`
    const outcome = await runOn(`${deep}\n${line({ event: "after" })}\n`)
    expect(reasons(outcome)).toEqual([[1, "too-deep"]])
    expect(outcome.events.map((event) => event.name)).toEqual(["after"])
  })

  test("an event of just the largest size counts", async () => {
    const fill = EVENT_BYTES_MAX - Buffer.byteLength(line({ fill: "" }))
    expect((await runOn(`${line({ fill: "x".repeat(fill) })}\n`)).events).toHaveLength(1)
    expect(reasons(await runOn(`${line({ fill: "x".repeat(fill + 1) })}\n`))).toEqual([[1, "too-large"]])
  })

  test("a long line that is rejected is kept in part", async () => {
    const outcome = await runOn(`${line({ event: "", fill: "x".repeat(100_000) })}\n`)
    expect(outcome.rejected[0]).toMatchObject({
      rejection: { reason: "name-missing" },
      context: { truncated: true },
    })
    expect(outcome.rejected[0]?.raw).toHaveLength(RAW_LENGTH_MAX)
  })

  test("mapped fields, also by a dotted path, stand for the standard ones", async () => {
    const outcome = await runOn(
      `${JSON.stringify({ ts: "2025-01-01", timestamp: "nonsense", who: { uid: "u9" }, what: "tap", seq: 7, kept: 1 })}\n`,
      { map: { time: "ts", user: "who.uid", event: "what", id: "seq" } },
    )
    expect(outcome.events).toMatchObject([{ id: "7", userId: "u9", name: "tap", time: Date.parse("2025-01-01") }])
    expect(outcome.events[0]?.body).toEqual({ who: { uid: "u9" }, kept: 1 })
  })

  test("the standard field that a mapped one stands for is not fallen back to", async () => {
    const outcome = await runOn(
      [
        { ts: "2025-01-01", originalTimestamp: "2020-01-01", key: "k", messageId: "m" },
        { originalTimestamp: "2020-01-01", key: "k" },
      ]
        .map((fields) => JSON.stringify({ event: "a", ...fields }))
        .join("\n"),
      { map: { time: "ts", id: "key" } },
    )
    expect(outcome.events).toMatchObject([{ id: "k", time: Date.parse("2025-01-01") }])
    expect(reasons(outcome)).toEqual([[2, "time-missing"]])
  })

  test("--event names only events without a name", async () => {
    const outcome = await runOn(
      [line({ event: undefined }), line({}), line({ event: undefined, type: "page" })].join("\n"),
      { eventName: "visit" },
    )
    expect(outcome.events.map((event) => event.name)).toEqual(["visit", "a", "page_view"])
    const alias = await runOn(JSON.stringify({ old: "u1", userId: "u2" }), {
      eventName: "alias",
      map: { previous: "old" },
    })
    expect(alias.events).toMatchObject([{ kind: "alias", userId: "u2", body: { previousId: "u1" } }])
  })

  test("hostile keys stay data", async () => {
    const outcome = await runOn(
      `{"event":"a","timestamp":"2025-01-01","properties":{"__proto__":1},"__proto__":{"x":1}}\n`,
    )
    expect(JSON.stringify(outcome.events[0]?.body)).toBe(`{"properties":{"__proto__":1},"__proto__":{"x":1}}`)
  })
})
