import { describe, expect, it } from "vitest"
import { oracle, type OracleInput } from "../../../src/domain/oracle/oracle.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../../src/domain/settings.ts"
import { DAY, event, logged } from "./fixtures.ts"

/** Ids that come again: what counts, what is dropped, what is a conflict. */

describe("dedupe", () => {
  const WEEK = 7 * DAY
  const one = event({ at: "12:00", id: "x", user: "ann" })
  const run = (input: ReadonlyArray<OracleInput>, settings: Partial<Settings> = {}) => {
    const { cells, duplicates, conflicts } = oracle(input, { ...DEFAULT_SETTINGS, ...settings }, [
      { name: "events", version: 1, formula: { kind: "event-count" } },
    ])
    return { events: cells.get("events")!.get("2024-01-10||events"), duplicates, conflicts }
  }

  it("drops a copy within the horizon, its end included, and counts one beyond", () => {
    const copies = (loggedAt: number) => [
      { event: one, partition: 0, loggedAt: 1000 },
      { event: one, partition: 0, loggedAt },
    ]
    expect(run(copies(1000 + WEEK))).toEqual({ events: 1, duplicates: 1, conflicts: 0 })
    expect(run(copies(1001 + WEEK))).toEqual({ events: 2, duplicates: 0, conflicts: 0 })
    expect(run(copies(1001 + WEEK), { dedupeHorizonMillis: null })).toEqual({ events: 1, duplicates: 1, conflicts: 0 })
  })

  it("measures the horizon from the copy that counted, not from the last dropped one", () => {
    const input = [0, WEEK, 2 * WEEK, WEEK * 2 + 1].map((loggedAt) => ({ event: one, partition: 0, loggedAt }))
    // 0 counts; 1 w is a duplicate; 2 w is beyond 0, so it counts; 2 w + 1 ms is a duplicate of that.
    expect(run(input)).toEqual({ events: 2, duplicates: 2, conflicts: 0 })
  })

  it("knows ids by partition", () => {
    const input = [0, 1].map((partition) => ({ event: one, partition, loggedAt: 0 }))
    expect(run(input)).toEqual({ events: 2, duplicates: 0, conflicts: 0 })
  })

  it("lets the first in the log win and names a copy with other content a conflict", () => {
    const body = { properties: { a: 1, b: [1, { c: null }] } }
    const first = { ...one, body }
    const sameInOtherOrder = { ...one, body: { properties: { b: [1, { c: null }], a: 1 } }, sentAt: 5 }
    const other = { ...one, body: { properties: { a: 1, b: [1, { c: 0 }] } } }
    const later = { ...first, time: first.time + DAY }
    expect(run(logged([first, sameInOtherOrder, other, later]))).toEqual({ events: 1, duplicates: 3, conflicts: 2 })
  })

  it("lets a duplicate link nothing", () => {
    const link = { ...one, anonymousId: "d" }
    expect(Object.fromEntries(oracle(logged([one, link]), DEFAULT_SETTINGS, []).personOf)).toEqual({ "u:ann": "u:ann" })
  })
})
