import { describe, expect, it } from "vitest"
import { activeUsers, DAY, personsOf, type Told } from "./fixtures.ts"

/** Who is who: devices and their users, users joined and taken apart. */

const alias = (at: string, previousId: string, user: string): Told => ({
  at,
  user,
  kind: "alias",
  body: { previousId },
})
const unalias = (at: string, previousId: string, user: string): Told => ({
  at,
  user,
  kind: "unalias",
  body: { previousId },
})

describe("identity", () => {
  it("joins a device's anonymous past with the user who identifies later", () => {
    const history: Array<Told> = [
      { at: "2024-01-10T08:00", device: "d" },
      { at: "2024-01-10T09:00", device: "d", user: "ann", kind: "identify" },
      { at: "2024-01-10T10:00", user: "ann" },
    ]
    expect(activeUsers(history)).toEqual({ "2024-01-10||users": 1, "2024-01-10||events": 2 })
    expect(personsOf(history)).toEqual({ "a:d": "u:ann", "u:ann": "u:ann" })
  })

  it("leaves what lies before the merge window with the device, to the millisecond", () => {
    const link = Date.parse("2024-01-31T12:00:00Z")
    const history = (millis: number): Array<Told> => [
      { at: link, device: "d", user: "ann" },
      { at: "2024-01-01T12:00:00Z", user: "ann" },
      { at: link - 30 * DAY + millis, device: "d" },
    ]
    // The link lies 30 days after 2024-01-01T12:00: on the border the device is ann, so one person; before it, two.
    expect(activeUsers(history(0))["2024-01-01||users"]).toBe(1)
    expect(activeUsers(history(-1))["2024-01-01||users"]).toBe(2)
    expect(personsOf(history(-1))).toEqual({ "u:ann": "u:ann", "a:d": "u:ann", "a:d#older": "a:d#older" })
    expect(activeUsers(history(-1), { mergeWindowMillis: null })["2024-01-01||users"]).toBe(1)
    expect(activeUsers(history(1), { mergeWindowMillis: 30 * DAY - 2 })["2024-01-01||users"]).toBe(2)
  })

  it("keeps the older past of a device apart from a device that is really called so", () => {
    const history: Array<Told> = [
      { at: "2024-03-01T00:00", device: "d", user: "ann", kind: "identify" },
      { at: "2024-01-01T00:00", device: "d" },
      { at: "2024-01-01T00:00", device: "d#older" },
    ]
    expect(activeUsers(history)).toEqual({ "2024-01-01||users": 2, "2024-01-01||events": 2 })
  })

  it("gives a shared device to its earliest link, not to the one that arrives first; later users keep their own", () => {
    const history: Array<Told> = [
      { at: "12:00", device: "d", user: "bob" },
      { at: "11:00", device: "d", user: "cid" },
      { at: "13:00", device: "d" },
    ]
    // bob: his own event; cid: his and the anonymous one.
    expect(activeUsers(history)).toEqual({ "2024-01-10||users": 2, "2024-01-10||events": 3 })
    expect(personsOf(history)["a:d"]).toBe("u:cid")
  })

  it("breaks a tie of links by code point, not by UTF-16 unit", () => {
    const history: Array<Told> = [
      { at: "12:00", device: "d", user: "😀" },
      { at: "12:00", device: "d", user: "\uff5e" },
    ]
    // U+FF5E < U+1F600, though 0xFF5E > 0xD83D.
    expect(personsOf(history)["a:d"]).toBe("u:\uff5e")
  })

  it("tells a user id and a device id of one spelling apart", () => {
    expect(
      activeUsers([
        { at: "12:00", user: "42" },
        { at: "12:00", device: "42" },
      ])["2024-01-10||users"],
    ).toBe(2)
  })

  it("joins users by alias, transitively, under the smallest id; the alias makes nobody active", () => {
    const history: Array<Told> = [
      { at: "10:00", user: "cid" },
      { at: "10:00", user: "bob" },
      { at: "2024-01-11T10:00", user: "ann" },
      alias("2024-01-20T10:00", "cid", "bob"),
      alias("2024-01-20T11:00", "ann", "cid"),
    ]
    expect(activeUsers(history)).toEqual({
      "2024-01-10||users": 1,
      "2024-01-10||events": 2,
      "2024-01-11||users": 1,
      "2024-01-11||events": 1,
    })
    expect(personsOf(history)).toEqual({ "u:ann": "u:ann", "u:bob": "u:ann", "u:cid": "u:ann" })
  })

  it("takes a join back by unalias of the pair in either order, the latest statement holding, unalias at a tie", () => {
    const two: Array<Told> = [
      { at: "10:00", user: "ann" },
      { at: "10:00", user: "bob" },
    ]
    const users = (...statements: Array<Told>) => activeUsers([...two, ...statements])["2024-01-10||users"]
    expect(users(alias("11:00", "bob", "ann"))).toBe(1)
    expect(users(alias("11:00", "bob", "ann"), unalias("12:00", "ann", "bob"))).toBe(2)
    expect(users(unalias("12:00", "ann", "bob"), alias("11:00", "bob", "ann"))).toBe(2)
    expect(users(unalias("11:00", "ann", "bob"), alias("12:00", "bob", "ann"))).toBe(1)
    expect(users(unalias("11:00", "ann", "bob"), alias("11:00", "bob", "ann"))).toBe(2)
    expect(users(alias("11:00", "ann", "ann"))).toBe(2)
  })

  it("takes back one pair only: two users stay joined through a third", () => {
    const history: Array<Told> = [
      alias("11:00", "ann", "bob"),
      alias("11:00", "bob", "cid"),
      alias("11:00", "ann", "cid"),
      unalias("12:00", "ann", "bob"),
    ]
    expect(personsOf(history)).toEqual({ "u:ann": "u:ann", "u:bob": "u:ann", "u:cid": "u:ann" })
  })

  it("gives a device to the canonical person of its owner, over several devices", () => {
    const history: Array<Told> = [
      { at: "10:00", device: "phone", user: "bob", kind: "identify" },
      { at: "10:00", device: "laptop", user: "ann", kind: "identify" },
      alias("11:00", "bob", "ann"),
      { at: "12:00", device: "phone" },
      { at: "12:00", device: "laptop" },
    ]
    expect(activeUsers(history)).toEqual({ "2024-01-10||users": 1, "2024-01-10||events": 2 })
  })

  it("counts personless events, but no person for them", () => {
    expect(activeUsers([{ at: "12:00" }, { at: "12:00", user: "ann" }])).toEqual({
      "2024-01-10||users": 1,
      "2024-01-10||events": 2,
    })
    expect(activeUsers([{ at: "12:00" }])).toEqual({ "2024-01-10||events": 1 })
  })
})
