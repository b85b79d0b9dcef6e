import { Result } from "effect"
import { describe, expect, test } from "vitest"
import { admit, type Door } from "../../src/domain/event/admit.ts"
import { EVENT_DEPTH_MAX } from "../../src/domain/event/size.ts"
import type { Json } from "../../src/domain/event/json.ts"
import { Observations } from "../../src/domain/measure/Observations.ts"
import { funnel } from "../../src/domain/measure/funnel.ts"
import { CellSums } from "../../src/domain/projection/CellSums.ts"
import { parseInstant } from "../../src/domain/time/instant.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

/** Faults that were found once, each with the smallest input that showed it. */

const door: Door = {
  now: Date.UTC(2026, 0, 1),
  mode: "import",
  skew: "correct",
  zone: TimeZone.utc,
  fallbackId: () => "derived",
}

const track = (fields: Record<string, Json>) =>
  admit({ event: "e", timestamp: "2025-01-01T00:00:00Z", ...fields }, door)

describe("admit", () => {
  test("turns an event away that is nested too deep to be written, instead of overflowing the stack", () => {
    const nested = (depth: number): Json => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as Json
    expect(track({ properties: { deep: nested(150_000) } })).toMatchObject({ failure: { reason: "too-deep" } })
    expect(Result.isSuccess(track({ properties: { deep: nested(EVENT_DEPTH_MAX - 3) } }))).toBe(true)
  })

  test("refuses numbers as ids that JSON can't carry exactly, so that two persons stay two", () => {
    expect(track({ userId: 2 ** 53 })).toMatchObject({
      success: { userId: null, warnings: ["user-id-refused"] },
    })
    expect(track({ userId: 42 })).toMatchObject({ success: { userId: "42" } })
  })

  test("takes the message id where the id can't be one", () => {
    expect(track({ id: "", messageId: "m1" })).toMatchObject({ success: { id: "m1" } })
    expect(track({ id: 2 ** 53 })).toMatchObject({ success: { id: "derived" } })
  })

  test("does not let a client say when it was received", () => {
    const client: Door = { ...door, mode: "client" }
    const admitted = admit(
      { event: "e", timestamp: "2025-12-31T00:00:00Z", receivedAt: "2020-01-01T00:00:00Z" },
      client,
    )
    expect(admitted).toMatchObject({ success: { receivedAt: door.now } })
  })
})

test("cells whose item and statistic run together the same way stay apart", () => {
  const sums = new CellSums()
  sums.addDecimal(0, "x|y", "sum:EUR", "1")
  sums.addDecimal(0, "y", "sum:EUR|x", "2")
  sums.add(0, "x|y", "count:EUR", 1)
  sums.add(0, "y", "count:EUR|x", 1)
  expect(sums.deltas().map(({ item, stat, amount }) => [item, stat, amount])).toEqual([
    ["x|y", "count:EUR", "1"],
    ["y", "count:EUR|x", "1"],
    ["x|y", "sum:EUR", "1"],
    ["y", "sum:EUR|x", "2"],
  ])
})

test("a funnel entry counts on its local day also where clocks go back over midnight", () => {
  const zone = TimeZone.of("America/St_Johns")!
  const formula = { kind: "funnel", steps: [{ event: "a" }, { event: "b" }] } as const
  const measure = funnel({ name: "f", version: 1, formula }, formula, zone)
  const observations = new Observations()
  // 23:10 on the 6th, after the clocks went back from 00:01 on the 7th.
  const entry = parseInstant("2010-11-07T02:40:00Z")!
  observations.addPoint(0, "", zone.dayOf(entry), entry, 1, "0")
  const cells: Array<unknown> = []
  measure.contribute(observations.factOf(0), (day, item, stat, amount) => cells.push([day, item, stat, amount]))
  expect(cells).toEqual([[14_919, "1", "users", 1]])
})
