import { describe, expect, it } from "vitest"
import type { EventFilter } from "../../../src/domain/metric/definition.ts"
import { oracleActiveUsers } from "../../../src/domain/oracle/oracle.ts"
import { DEFAULT_SETTINGS } from "../../../src/domain/settings.ts"
import { ACTIVE, activeUsers, type Asked, cellsOf, event, HOUR, isReturn, logged, type Told } from "./fixtures.ts"

/** Local days, and active users of them and of ranges of them. */

describe("days", () => {
  it("begins days at local midnight", () => {
    const history: Array<Told> = [
      { at: "2024-01-10T22:59:59.999", user: "ann" },
      { at: "2024-01-10T23:00:00.000", user: "ann" },
    ]
    expect(activeUsers(history, { timeZone: "Europe/Berlin" })).toEqual({
      "2024-01-10||users": 1,
      "2024-01-10||events": 1,
      "2024-01-11||users": 1,
      "2024-01-11||events": 1,
    })
    expect(activeUsers(history)).toEqual({ "2024-01-10||users": 1, "2024-01-10||events": 2 })
  })

  it("gives Berlin's 2024-03-31 23 hours and 2024-10-27 25", () => {
    const hours = (from: string) =>
      Array.from({ length: 48 }, (_, hour): Told => ({ at: Date.parse(from) + hour * HOUR, user: "ann" }))
    const spring = activeUsers(hours("2024-03-30T23:00:00Z"), { timeZone: "Europe/Berlin" })
    expect([spring["2024-03-31||events"], spring["2024-04-01||events"]]).toEqual([23, 24])
    const autumn = activeUsers(hours("2024-10-26T22:00:00Z"), { timeZone: "Europe/Berlin" })
    expect([autumn["2024-10-27||events"], autumn["2024-10-28||events"]]).toEqual([25, 23])
  })

  it("tells the persons of a day apart by when they were active before, over months and per value", () => {
    const history: Array<Told> = [
      { at: "2024-01-30T12:00:00Z", user: "ann", name: "a" },
      { at: "2024-01-30T13:00:00Z", user: "ann", name: "a" },
      { at: "2024-02-02T12:00:00Z", user: "ann", name: "a" },
      { at: "2024-02-02T12:00:00Z", user: "bob", name: "a" },
      { at: "2024-02-03T12:00:00Z", user: "ann", name: "b" },
      { at: "2024-03-01T12:00:00Z", user: "ann", name: "a" },
    ]
    const returns = (asked?: Asked) =>
      Object.fromEntries(Object.entries(cellsOf(history, ACTIVE, asked)).filter(([key]) => isReturn(key)))
    expect(returns()).toEqual({
      "2024-01-30||new": 1,
      "2024-02-02||again:3": 1,
      "2024-02-02||new": 1,
      "2024-02-03||again:1": 1,
      "2024-03-01||again:27": 1,
    })
    expect(returns({ breakdown: "event" })).toEqual({
      "2024-01-30|a|new": 1,
      "2024-02-02|a|again:3": 1,
      "2024-02-02|a|new": 1,
      "2024-02-03|b|new": 1,
      "2024-03-01|a|again:28": 1,
    })
  })

  it("skips Apia's 2011-12-30, which never was", () => {
    const history: Array<Told> = [
      { at: "2011-12-30T09:59:59.999Z", user: "ann" },
      { at: "2011-12-30T10:00:00.000Z", user: "ann" },
    ]
    expect(Object.keys(activeUsers(history, { timeZone: "Pacific/Apia" }))).toEqual([
      "2011-12-29||events",
      "2011-12-31||events",
      "2011-12-29||users",
      "2011-12-31||users",
    ])
  })

  it("knows zones whose midnight is at no whole minute of UTC", () => {
    // Monrovia was 0:44:30 behind UTC until 1972.
    const history = [
      { at: "1971-06-01T00:44:29.999Z", user: "ann" },
      { at: "1971-06-01T00:44:30.000Z", user: "ann" },
    ]
    const cells = activeUsers(history, { timeZone: "Africa/Monrovia" })
    expect([cells["1971-05-31||events"], cells["1971-06-01||events"]]).toEqual([1, 1])
  })
})

describe("active users of a range", () => {
  it("are distinct persons over whole local days, both ends included", () => {
    const input = logged(
      [
        { at: "2024-01-10T22:59:59.999", user: "ann" },
        { at: "2024-01-10T23:00", user: "bob" },
        { at: "2024-01-12T22:59", user: "bob" },
        { at: "2024-01-12T23:00", user: "cid" },
        { at: "2024-01-11T12:00" },
      ].map(event),
    )
    const berlin = { ...DEFAULT_SETTINGS, timeZone: "Europe/Berlin" }
    const count = (from: string, to: string, filter?: EventFilter) =>
      oracleActiveUsers(input, berlin, filter, { from, to })
    expect(count("2024-01-11", "2024-01-12")).toBe(1)
    expect(count("2024-01-10", "2024-01-12")).toBe(2)
    expect(count("2024-01-10", "2024-01-13")).toBe(3)
    expect(count("2024-01-10", "2024-01-13", { events: ["submit"] })).toBe(0)
    expect(oracleActiveUsers(input, berlin, undefined, null)).toBe(3)
  })
})
