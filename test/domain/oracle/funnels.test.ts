import { describe, expect, it } from "vitest"
import type { FunnelFormula, FunnelStep } from "../../../src/domain/metric/definition.ts"
import { oracleFunnel } from "../../../src/domain/oracle/oracle.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../../src/domain/settings.ts"
import { cellsOf, event, HOUR, logged, MINUTE, type Told } from "./fixtures.ts"

/** Funnels: order, windows, ties, re-entry, ranges, grace and exclusions. */

describe("funnels", () => {
  const steps = (...names: Array<string>): Array<FunnelStep> => names.map((name) => ({ event: name }))
  const funnel = (names: ReadonlyArray<string>, options: Partial<FunnelFormula> = {}): FunnelFormula => ({
    kind: "funnel",
    steps: steps(...names),
    ...options,
  })
  /** ann does things, `"name time"` each. */
  const ann = (...deeds: ReadonlyArray<string>): Array<Told> =>
    deeds.map((deed) => ({ user: "ann", name: deed.split(" ")[0]!, at: deed.split(" ")[1]! }))
  const inRange = (
    history: ReadonlyArray<Told>,
    formula: FunnelFormula,
    range: { from: string; to: string } | null = null,
    settings: Partial<Settings> = {},
  ) => oracleFunnel(logged(history.map(event)), { ...DEFAULT_SETTINGS, ...settings }, formula, range)

  it("counts whoever reaches a step after the one before, other events between", () => {
    const history = [
      ...ann("a 10:00", "x 10:01", "b 10:02", "c 10:05"),
      { user: "bob", name: "b", at: "10:00" },
      { user: "bob", name: "a", at: "10:01" },
    ]
    expect(cellsOf(history, funnel(["a", "b", "c"]))).toEqual({
      "2024-01-10|1|users": 2,
      "2024-01-10|2|users": 1,
      "2024-01-10|2|from_previous_ms": 2 * MINUTE,
      "2024-01-10|3|users": 1,
      "2024-01-10|3|from_previous_ms": 3 * MINUTE,
    })
  })

  it("ends the window at its end, which is included, from the entry", () => {
    const formula = funnel(["a", "b", "c"], { window: "1h" })
    expect(inRange(ann("a 10:00", "b 10:30", "c 11:00:00.000"), formula).users).toEqual([1, 1, 1])
    expect(inRange(ann("a 10:00", "b 10:30", "c 11:00:00.001"), formula).users).toEqual([1, 1, 0])
    const late = ann("a 2024-01-01T00:00", "b 2024-01-15T00:00:00.001")
    expect(inRange(late, funnel(["a", "b"])).users).toEqual([1, 0])
    expect(inRange(late, funnel(["a", "b"], { window: "none" })).users).toEqual([1, 1])
  })

  it("takes events of one instant in the order that converts", () => {
    expect(inRange(ann("b 10:00", "c 10:00", "a 10:00"), funnel(["a", "b", "c"]))).toEqual({
      users: [1, 1, 1],
      fromPreviousMillis: [[0], [0]],
    })
  })

  it("gives one event to one step only; equal steps need different events", () => {
    expect(inRange(ann("a 10:00"), funnel(["a", "a"])).users).toEqual([1, 0])
    expect(inRange(ann("a 10:00", "a 10:00"), funnel(["a", "a"])).users).toEqual([1, 1])
    expect(inRange(ann("a 10:00", "a 10:05"), funnel(["a", "a"])).fromPreviousMillis).toEqual([[5 * MINUTE]])
  })

  it("matches overlapping steps of one instant so that the most are reached", () => {
    // `*` must take x for step 1 and leave a for step 2, or the other way round, whatever the order of arrival.
    const formula = funnel(["*", "a"])
    expect(inRange(ann("a 10:00", "x 10:00"), formula).users).toEqual([1, 1])
    expect(inRange(ann("x 10:00", "a 10:00"), formula).users).toEqual([1, 1])
    expect(inRange(ann("a 10:00"), formula).users).toEqual([1, 0])
    expect(inRange(ann("x 10:00", "a 10:00", "b 10:00"), funnel(["*", "*", "a", "b"])).users).toEqual([1, 1, 1, 0])
  })

  it("takes any activity for *, no identify", () => {
    const history: Array<Told> = [...ann("a 10:00"), { user: "ann", at: "10:01", kind: "identify" }]
    expect(inRange(history, funnel(["a", "*"])).users).toEqual([1, 0])
    expect(inRange(history, funnel(["a", "identify"])).users).toEqual([1, 1])
  })

  it("heeds the conditions of a step", () => {
    const formula: FunnelFormula = {
      kind: "funnel",
      steps: [{ event: "a" }, { event: "b", where: [{ field: "properties.n", op: "gte", value: 5 }] }],
    }
    const history: Array<Told> = [
      ...ann("a 10:00"),
      { user: "ann", name: "b", at: "10:01", properties: { n: 4 } },
      { user: "ann", name: "b", at: "10:02", properties: { n: 5 } },
    ]
    expect(inRange(history, formula).fromPreviousMillis).toEqual([[2 * MINUTE]])
  })

  it("lets the entry count that gets furthest, at a tie the earliest, or only the first", () => {
    const formula = funnel(["a", "b", "c"], { window: "10m" })
    const history = ann("a 10:00", "b 10:05", "a 11:00", "b 11:01", "c 11:03")
    expect(inRange(history, formula)).toEqual({ users: [1, 1, 1], fromPreviousMillis: [[MINUTE], [2 * MINUTE]] })
    expect(inRange(history, { ...formula, reentry: "first-entry-only" }).users).toEqual([1, 1, 0])
    const tie = ann("a 10:00", "b 10:05", "a 11:00", "b 11:01")
    expect(inRange(tie, formula).fromPreviousMillis).toEqual([[5 * MINUTE], []])
  })

  it("counts a person once a day of entry, and once in a range, whose end later steps may pass", () => {
    const history = ann("a 2024-01-10T23:00", "a 2024-01-11T01:00", "b 2024-01-11T02:00")
    expect(cellsOf(history, funnel(["a", "b"]))).toEqual({
      "2024-01-10|1|users": 1,
      "2024-01-10|2|users": 1,
      "2024-01-10|2|from_previous_ms": 3 * HOUR,
      "2024-01-11|1|users": 1,
      "2024-01-11|2|users": 1,
      "2024-01-11|2|from_previous_ms": HOUR,
    })
    const formula = funnel(["a", "b"])
    expect(inRange(history, formula, { from: "2024-01-10", to: "2024-01-10" }).fromPreviousMillis).toEqual([[3 * HOUR]])
    expect(inRange(history, formula, { from: "2024-01-10", to: "2024-01-12" }).users).toEqual([1, 1])
    expect(inRange(history, formula, { from: "2024-01-12", to: "2024-01-12" }).users).toEqual([0, 0])
    const berlin = { timeZone: "Europe/Berlin" }
    expect(inRange(history, formula, { from: "2024-01-11", to: "2024-01-11" }, berlin).fromPreviousMillis).toEqual([
      [3 * HOUR],
    ])
  })

  it("follows a person over devices and joins", () => {
    const history: Array<Told> = [
      { device: "d", name: "a", at: "10:00" },
      { user: "ann", name: "b", at: "10:01" },
    ]
    expect(inRange(history, funnel(["a", "b"])).users).toEqual([1, 0])
    const link: Told = { device: "d", user: "ann", kind: "identify", at: "11:00" }
    expect(inRange([...history, link], funnel(["a", "b"])).users).toEqual([1, 1])
  })

  it("forgives disorder within the grace, its border included", () => {
    const formula = funnel(["a", "b"], { grace: "1m" })
    expect(inRange(ann("b 09:59", "a 10:00"), formula)).toEqual({ users: [1, 1], fromPreviousMillis: [[0]] })
    expect(inRange(ann("b 09:58:59.999", "a 10:00"), formula).users).toEqual([1, 0])
    expect(inRange(ann("b 09:59", "a 10:00"), funnel(["a", "b"])).users).toEqual([1, 0])
    // c before b by the grace, though after a: reached no earlier than b.
    const three = funnel(["a", "b", "c"], { grace: "1m" })
    expect(inRange(ann("a 10:00", "c 10:04", "b 10:05"), three).fromPreviousMillis).toEqual([[5 * MINUTE], [0]])
  })

  it("takes with grace the event that can be the fewest steps, and never the entry again", () => {
    const formula = funnel(["*", "a"], { grace: "1m" })
    expect(inRange(ann("a 10:00", "x 10:00"), formula).users).toEqual([1, 1])
    expect(inRange(ann("a 10:00"), formula).users).toEqual([1, 0])
  })

  describe("exclusions", () => {
    const between = { event: "x", fromStep: 1, toStep: 2 }
    const keep = funnel(["a", "b", "c"], { exclusions: [between], window: "1h" })
    const remove: FunnelFormula = { ...keep, exclusionPolicy: "remove-person" }

    it("keep what was reached before an event strictly between the steps", () => {
      expect(inRange(ann("a 10:00", "x 10:01", "b 10:02", "c 10:03"), keep).users).toEqual([1, 0, 0])
      expect(inRange(ann("a 10:00", "x 10:00", "b 10:02", "c 10:03"), keep).users).toEqual([1, 1, 1])
      expect(inRange(ann("a 10:00", "x 10:02", "b 10:02", "c 10:03"), keep).users).toEqual([1, 1, 1])
      expect(inRange(ann("a 10:00", "b 10:02", "x 10:02:30", "c 10:03"), keep).users).toEqual([1, 1, 1])
    })

    it("span every step from fromStep up to before toStep", () => {
      const wide: FunnelFormula = { ...keep, exclusions: [{ event: "x", fromStep: 1, toStep: 3 }] }
      expect(inRange(ann("a 10:00", "b 10:02", "x 10:02:30", "c 10:03"), wide).users).toEqual([1, 1, 0])
    })

    it("leave an unspoiled entry to count", () => {
      const history = ann("a 10:00", "x 10:01", "a 10:02", "b 10:03", "c 10:04")
      expect(inRange(history, keep)).toEqual({ users: [1, 1, 1], fromPreviousMillis: [[MINUTE], [MINUTE]] })
      expect(inRange(history, remove).users).toEqual([1, 1, 1])
      expect(inRange(history, { ...keep, reentry: "first-entry-only" }).users).toEqual([1, 0, 0])
    })

    it("remove a person who completes only spoiled", () => {
      expect(inRange(ann("a 10:00", "x 10:01", "b 10:02", "c 10:03"), remove).users).toEqual([0, 0, 0])
      // The second entry is unspoiled but does not complete: the spoiled completion decides.
      const history = ann("a 10:00", "x 10:01", "b 10:02", "c 10:03", "a 12:00", "b 12:01")
      expect(inRange(history, remove).users).toEqual([0, 0, 0])
    })

    it("let the best unspoiled attempt count when none completes", () => {
      const history = ann("a 10:00", "x 10:01", "b 10:02", "a 12:00", "b 12:01")
      expect(inRange(history, remove)).toEqual({ users: [1, 1, 0], fromPreviousMillis: [[MINUTE], []] })
    })

    it("spoil up to the window's end where no next step is reached", () => {
      expect(inRange(ann("a 10:00", "x 11:00:00.000"), remove).users).toEqual([0, 0, 0])
      expect(inRange(ann("a 10:00", "x 11:00:00.001"), remove).users).toEqual([1, 0, 0])
      expect(inRange(ann("a 10:00", "x 11:00"), keep).users).toEqual([1, 0, 0])
      const endless: FunnelFormula = { ...remove, window: "none" }
      expect(inRange(ann("a 10:00", "x 2025-01-10T10:00"), endless).users).toEqual([0, 0, 0])
    })

    it("heed conditions, and a step's event may be excluded too", () => {
      const pricey = { ...between, where: [{ field: "properties.n", op: "gt", value: 1 } as const] }
      const history = (n: number): Array<Told> => [
        ...ann("a 10:00", "b 10:02"),
        { user: "ann", name: "x", at: "10:01", properties: { n } },
      ]
      expect(inRange(history(1), { ...keep, exclusions: [pricey] }).users).toEqual([1, 1, 0])
      expect(inRange(history(2), { ...keep, exclusions: [pricey] }).users).toEqual([1, 0, 0])
      const again: FunnelFormula = { ...keep, exclusions: [{ event: "a", fromStep: 1, toStep: 2 }] }
      expect(inRange(ann("a 10:00", "a 10:01", "b 10:02"), again).fromPreviousMillis).toEqual([[MINUTE], []])
    })
  })
})
