import { describe, expect, it } from "vitest"
import type { Event } from "../../../src/domain/event/Event.ts"
import type { JsonObject } from "../../../src/domain/event/json.ts"
import { cellsOf, HOUR, MINUTE, type Told } from "./fixtures.ts"

/** Sessions: where they are cut and joined, whose they are, on which day they count, where they begin and end. */

describe("sessions", () => {
  const SESSIONS = { kind: "sessions" } as const
  const clicks = (...times: ReadonlyArray<string>): Array<Told> => times.map((at) => ({ at, user: "ann" }))

  it("cuts where a pause is longer than the gap, not where it is as long", () => {
    expect(cellsOf(clicks("10:00", "10:30:00.000", "11:00:00.001"), SESSIONS)).toEqual({
      "2024-01-10||sessions": 2,
      "2024-01-10||persons": 1,
      "2024-01-10||events": 3,
      "2024-01-10||duration_ms": 30 * MINUTE,
      "2024-01-10||bounces": 1,
      "2024-01-10|1800000|duration": 1,
      "2024-01-10|0|duration": 1,
    })
    expect(cellsOf(clicks("10:00", "10:30", "11:00"), { ...SESSIONS, gap: "29m" })["2024-01-10||sessions"]).toBe(3)
  })

  it("joins two sessions by a late event between", () => {
    expect(cellsOf(clicks("10:00", "11:00"), SESSIONS)["2024-01-10||sessions"]).toBe(2)
    expect(cellsOf(clicks("10:00", "11:00", "10:30"), SESSIONS)).toEqual({
      "2024-01-10||sessions": 1,
      "2024-01-10||persons": 1,
      "2024-01-10||events": 3,
      "2024-01-10||duration_ms": HOUR,
      "2024-01-10|3600000|duration": 1,
    })
  })

  it("spans all distinct ids of a person, and leaves out who-is-who events and nobody's", () => {
    const history: Array<Told> = [
      { at: "10:00", device: "d" },
      { at: "10:10", user: "ann" },
      { at: "10:20", device: "d", user: "ann", kind: "identify" },
      { at: "10:15" },
      { at: "10:05", user: "bob" },
    ]
    expect(cellsOf(history, SESSIONS)).toEqual({
      "2024-01-10||sessions": 2,
      "2024-01-10||persons": 2,
      "2024-01-10||events": 3,
      "2024-01-10||duration_ms": 10 * MINUTE,
      "2024-01-10||bounces": 1,
      "2024-01-10|600000|duration": 1,
      "2024-01-10|0|duration": 1,
    })
  })

  it("groups by the client's session id whatever the pause; gaps cut among the others only", () => {
    const history: Array<Told> = [
      { at: "10:00", user: "ann", session: "s" },
      { at: "10:20", user: "ann" },
      { at: "10:40", user: "ann", session: "s" },
      { at: "10:55", user: "ann" },
      { at: "15:00", user: "ann", session: "s" },
      { at: "10:00", user: "bob", session: "s" },
    ]
    // ann: s 10:00–15:00; 10:20 and 10:55 (35 min apart) alone. bob's s is another.
    expect(cellsOf(history, SESSIONS)).toEqual({
      "2024-01-10||sessions": 4,
      "2024-01-10||persons": 2,
      "2024-01-10||events": 6,
      "2024-01-10||duration_ms": 5 * HOUR,
      "2024-01-10||bounces": 3,
      "2024-01-10|18000000|duration": 1,
      "2024-01-10|0|duration": 3,
    })
    // `both`: s of ann is cut at both pauses, 40 min and over 4 h.
    expect(cellsOf(history, { ...SESSIONS, grouping: "both" })["2024-01-10||sessions"]).toBe(6)
  })

  it("counts on the day of the start; midnight cuts only where asked", () => {
    const history: Array<Told> = [
      ...clicks("2024-01-10T23:50", "2024-01-11T00:10"),
      { at: "2024-01-10T23:50", user: "bob", session: "s" },
      { at: "2024-01-11T00:10", user: "bob", session: "s" },
    ]
    const whole = cellsOf(history, SESSIONS)
    expect([whole["2024-01-10||sessions"], whole["2024-01-11||sessions"]]).toEqual([2, undefined])
    const cut = cellsOf(history, { ...SESSIONS, midnightCut: true })
    expect([cut["2024-01-10||sessions"], cut["2024-01-11||sessions"]]).toEqual([2, 2])
    const berlin = cellsOf(history, { ...SESSIONS, midnightCut: true }, { timeZone: "Europe/Berlin" })
    expect([berlin["2024-01-11||sessions"], berlin["2024-01-11||duration_ms"]]).toEqual([2, 40 * MINUTE])
  })

  it("finds entry and exit pages among views, ties by code point", () => {
    const view = (at: string, properties: JsonObject, kind: Event["kind"] = "page"): Told => ({
      at,
      user: "ann",
      kind,
      properties,
    })
    const history: Array<Told> = [
      { at: "10:00", user: "ann", properties: { path: "/no-view" } },
      view("10:01", {}),
      view("10:02", { path: "/😀" }),
      view("10:02", { path: null, url: "/\uff5e" }),
      { at: "10:03", user: "ann", name: "screen_view", properties: { screen_name: 5, page_name: { x: 1 } } },
      view("10:03", { url: "4", page_name: "never" }, "screen"),
      { at: "10:04", user: "ann" },
    ]
    expect(cellsOf(history, SESSIONS)).toMatchObject({ "2024-01-10|/\uff5e|entries": 1, "2024-01-10|5|exits": 1 })
    expect(Object.keys(cellsOf(history, SESSIONS)).filter((key) => /entries|exits/.test(key))).toHaveLength(2)
    expect(Object.keys(cellsOf(clicks("10:00"), SESSIONS)).filter((key) => /entries|exits/.test(key))).toEqual([])
  })
})
