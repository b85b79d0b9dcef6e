import { Result } from "effect"
import { describe, expect, test } from "vitest"
import { importLine, type LineContext } from "../../../src/app/import/importFile.ts"
import { EVENT_BYTES_MAX } from "../../../src/domain/event/size.ts"
import { line, NOW, runOn } from "./fixtures.ts"

/** Lines that were turned away, read again as they were kept. */

describe("reading a quarantined line again", () => {
  const stored = (context: LineContext): LineContext => JSON.parse(JSON.stringify(context)) as LineContext

  test("gives the same rejection while nothing has changed", async () => {
    const outcomes = [
      await runOn(`${line({})}\nnonsense\n[1]\n${line({ timestamp: "x" })}\n`),
      await runOn('ts,event,x\n2025-01-01,a,1\n2025-01-01,a\n2025-01-01,"",1\n2025-01-01,"x\ny\n'),
    ]
    for (const row of outcomes.flatMap((outcome) => outcome.rejected)) {
      expect(importLine(row.raw, stored(row.context), NOW)).toEqual(Result.succeed(row))
    }
  })

  test("gives the event that the line would have been, when the reason is gone", async () => {
    const later = NOW + 10 * 365 * 86_400_000
    for (const contents of [
      `${line({})}\n${line({ timestamp: "2030-01-01" })}\n`,
      'ts,event,x\n2025-01-01,a,1\n2030-01-01,b,"two\nlines"\n',
    ]) {
      const early = await runOn(contents, {}, "log")
      const [row] = early.rejected
      expect(row?.rejection.reason).toBe("time-in-future")
      const late = await runOn(contents, { now: later }, "log")
      const replayed = importLine(row!.raw, stored(row!.context), later)
      expect(replayed).toEqual(Result.succeed({ _tag: "Accepted", event: late.events[1] }))
    }
  })

  test("works with a corrected context", async () => {
    const { rejected } = await runOn("ts,when,event\nnever,2025-01-01,a\n")
    const row = rejected[0]!
    const replayed = importLine(row.raw, { ...row.context, map: { time: "when" } }, NOW)
    expect(Result.getOrThrow(replayed)._tag).toBe("Accepted")
    const wrong = importLine(row.raw, { ...row.context, map: { time: "whem" } }, NOW)
    expect(Result.isFailure(wrong) && wrong.failure._tag).toBe("ColumnsNotFound")
    const nowhere = importLine(row.raw, { ...row.context, zone: "Mars/Olympus" }, NOW)
    expect(Result.isFailure(nowhere) && nowhere.failure._tag).toBe("ContextZoneUnknown")
  })

  test("is refused where only a part of the line was kept", async () => {
    const { rejected } = await runOn(`${line({ fill: "x".repeat(EVENT_BYTES_MAX) })}\n`)
    const row = rejected[0]!
    const replayed = Result.getOrThrow(importLine(row.raw, stored(row.context), NOW))
    expect(replayed).toMatchObject({ _tag: "Rejected", rejection: { reason: "too-large" } })
  })
})
