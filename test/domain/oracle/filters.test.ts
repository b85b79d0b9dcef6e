import { describe, expect, it } from "vitest"
import type { JsonObject } from "../../../src/domain/event/json.ts"
import type { Condition } from "../../../src/domain/metric/definition.ts"
import { activeUsers, cellsOf, type Told } from "./fixtures.ts"

/** Which events a metric takes, and under which values it counts them. */

describe("filters and breakdowns", () => {
  it("takes activity only, unless the filter names events", () => {
    const history: Array<Told> = (["track", "page", "screen", "identify", "group"] as const).map((kind) => ({
      at: "12:00",
      user: kind,
      kind,
    }))
    expect(activeUsers(history)).toEqual({ "2024-01-10||users": 3, "2024-01-10||events": 3 })
    expect(activeUsers(history, { filter: { events: ["identify", "group"] } })).toEqual({
      "2024-01-10||users": 2,
      "2024-01-10||events": 2,
    })
    // A track event that is called identify is activity.
    expect(activeUsers([{ at: "12:00", user: "ann", name: "identify" }])["2024-01-10||users"]).toBe(1)
  })

  it.each<[found: unknown, op: Condition["op"], value: Condition["value"], holds: boolean]>([
    ["7", "eq", 7, true],
    [true, "eq", "true", true],
    [7, "neq", "7", false],
    [7, "in", ["x", "7"], true],
    ["y", "not_in", ["x", "7"], true],
    ["Straße", "contains", "ra", true],
    ["STRASSE", "icontains", "ras", true],
    ["STRASSE", "contains", "ras", false],
    [1234, "starts_with", 12, true],
    ["10", "gt", 9, true],
    ["10x", "gt", 9, false],
    ["1e1", "gte", "10", true],
    ["+5", "lt", 9, true],
    ["\uff5e", "lt", "😀", true],
    [true, "gt", 1, true],
    [2, "between", [2, 3], true],
    ["3.0", "between", ["2", "3"], true],
    [3.1, "between", [2, 3], false],
    ["", "is_set", undefined, true],
    [false, "is_set", undefined, true],
    [0, "is_not_set", undefined, false],
    [null, "is_set", undefined, false],
    [null, "is_not_set", undefined, true],
    [null, "eq", "null", false],
    [null, "neq", "x", true],
    [null, "not_in", ["x"], true],
    [null, "lt", 5, false],
    [undefined, "neq", "x", true],
    [{ a: 1 }, "is_set", undefined, false],
    [["x"], "eq", "x", false],
    [["x"], "neq", "x", true],
    [{ a: 1 }, "contains", "a", false],
  ])("finds of %j that %s %j is %s", (found, op, value, holds) => {
    const where = [{ field: "properties.x", op, ...(value === undefined ? {} : { value }) }]
    const properties = (found === undefined ? {} : { x: found }) as JsonObject
    const cells = cellsOf([{ at: "12:00", properties }], { kind: "event-count" }, { filter: { where } })
    expect(cells).toEqual(holds ? { "2024-01-10||events": 1 } : {})
  })

  it("reads own properties only, never a prototype's, and no arrays", () => {
    const own = JSON.parse('{"__proto__":{"plan":"pro"}}') as JsonObject
    const history: Array<Told> = [
      { at: "12:00", properties: own },
      { at: "12:00", properties: {} },
    ]
    const isSet = (field: string) =>
      cellsOf(history, { kind: "event-count" }, { filter: { where: [{ field, op: "is_set" }] } })["2024-01-10||events"]
    expect(isSet("properties.__proto__.plan")).toBe(1)
    expect(isSet("properties.plan")).toBeUndefined()
    expect(isSet("properties.constructor.name")).toBeUndefined()
    expect(
      cellsOf(
        [{ at: "12:00", properties: { list: ["a"] } }],
        { kind: "event-count" },
        { breakdown: "properties.list.0" },
      ),
    ).toEqual({})
  })

  it("counts a person under every value they had, and events without the value nowhere", () => {
    const used = (user: string, feature: JsonObject): Told => ({
      at: "12:00",
      user,
      name: "feature_used",
      properties: feature,
    })
    const history = [
      used("ann", { feature_name: "export" }),
      used("ann", { feature_name: "export" }),
      used("ann", { feature_name: 7 }),
      used("bob", { feature_name: "7" }),
      used("bob", { feature_name: "__proto__" }),
      used("bob", { feature_name: null }),
      used("cid", {}),
    ]
    expect(activeUsers(history, { breakdown: "properties.feature_name" })).toEqual({
      "2024-01-10|export|users": 1,
      "2024-01-10|export|events": 2,
      "2024-01-10|7|users": 2,
      "2024-01-10|7|events": 2,
      "2024-01-10|__proto__|users": 1,
      "2024-01-10|__proto__|events": 1,
    })
  })
})
