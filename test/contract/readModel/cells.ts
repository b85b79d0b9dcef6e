import { deepStrictEqual } from "node:assert"
import { describe, expect, test } from "vitest"
import { INTAKE } from "../../../src/domain/projection/ReadModelQueries.ts"
import { TEXTS, noise, DAY, RANGE, checkpoint, stepOf, cellStep } from "./fixtures.ts"
import type { World } from "./world.ts"

/** The numbers. */
export const cellsContract = (world: World): void => {
  const { run, commit, amountsOf } = world

  describe("cells", () => {
    test("add up exactly, whatever their items and statistics are", async () => {
      const cells = TEXTS.flatMap((item, n) => [
        [item, "users", String(n + 1)] as const,
        ["", `sum:${item}`, "0.1"] as const,
      ])
      await commit(cellStep(1, cells))
      await commit(
        cellStep(
          2,
          cells.map(([item, stat]) => [item, stat, stat === "users" ? "1" : "0.2"] as const),
        ),
      )
      const expected = new Map(
        cells.map(([item, stat], i) => [
          JSON.stringify([item, stat]),
          stat === "users" ? String(Math.floor(i / 2) + 2) : "0.3",
        ]),
      )
      deepStrictEqual(new Map([...(await amountsOf())].sort()), new Map([...expected].sort()))
      for (const item of TEXTS) {
        const found = await run(world.queries.cells(1, RANGE, { item, stats: ["users"] }))
        expect(found.map((cell) => cell.item)).toEqual([item])
      }
    })

    test("take any decimal", async () => {
      const amounts = ["1e21", "-0.1", "0.000000000000000000000000000001", "123456789012345678901234567890.5"]
      await commit(
        cellStep(
          1,
          amounts.map((amount, n) => [String(n), "sum", amount]),
        ),
      )
      expect([...(await amountsOf()).values()]).toEqual([
        "1000000000000000000000",
        "-0.1",
        "0.000000000000000000000000000001",
        "123456789012345678901234567890.5",
      ])
    })

    test("are as long as items can be, in both places at once", async () => {
      // Each half of a surrogate pair takes six characters to store; the worst that boundedItem lets through.
      const item = noise(256, (n) => 0xd800 + (n % 1024))
      const stat = `count:${noise(256, (n) => 0xdc00 + ((n * 7) % 1024))}`
      const cjk = noise(256, (n) => 0x4e00 + (n % 20_000))
      await commit(
        cellStep(1, [
          [item, stat, "1"],
          [cjk, `sum:${cjk}`, "1"],
        ]),
      )
      expect((await amountsOf()).size).toBe(2)
    })

    test("that come to nothing are gone", async () => {
      await commit(
        cellStep(1, [
          ["a", "users", "1"],
          ["b", "users", "2"],
          ["c", "sum", "1.5"],
        ]),
      )
      await commit(
        cellStep(2, [
          ["a", "users", "-1"],
          ["b", "users", "-1"],
          ["c", "sum", "-1.50"],
        ]),
      )
      expect(await amountsOf()).toEqual(new Map([[JSON.stringify(["b", "users"]), "1"]]))
    })

    test("give the persons of any range: each counts on its first day there", async () => {
      await commit(
        cellStep(1, [
          ["a", "new", "7", DAY - 401],
          ["a", "users", "9"],
          ["a", "new", "2"],
          ["a", "again:1", "3"],
          ["a", "again:400", "4"],
          ["b", "new", "1"],
          ["b", "events", "8"],
        ]),
      )
      const uniques = (from: number, to = DAY) => run(world.queries.uniquesByValue(1, { from, to }))
      expect(new Map(await uniques(DAY))).toEqual(
        new Map([
          ["a", 9],
          ["b", 1],
        ]),
      )
      expect((await uniques(DAY - 1)).get("a")).toBe(6)
      expect((await uniques(DAY - 399)).get("a")).toBe(6)
      expect((await uniques(DAY - 400)).get("a")).toBe(2)
      expect(await uniques(DAY - 9, DAY - 1)).toEqual(new Map())
      expect(await run(world.queries.uniquesByValue(1, { from: DAY, to: DAY }, "b"))).toEqual(new Map([["b", 1]]))
      const returned = await run(world.queries.returned(1, "a", { from: DAY, to: DAY }))
      expect(returned.toSorted((a, b) => a.since - b.since)).toEqual([
        { day: DAY, since: 1, users: 3 },
        { day: DAY, since: 400, users: 4 },
        { day: DAY, since: Number.POSITIVE_INFINITY, users: 2 },
      ])
      expect(await run(world.queries.returned(1, "c", RANGE))).toEqual([])
    })

    test("give them too where somebody was observed decades ago", async () => {
      await commit(
        cellStep(1, [
          ["a", "new", "5", DAY - 15_000],
          ["a", "again:15000", "4"],
          ["a", "new", "1"],
          ["b", "again:3", "2"],
          ["b", "again:20", "1"],
          ["b", "again", "8"],
          ["b", "users", "8"],
        ]),
      )
      const uniques = async (from: number) =>
        Object.fromEntries(await run(world.queries.uniquesByValue(1, { from, to: DAY })))
      expect(await uniques(DAY)).toEqual({ a: 5, b: 3 })
      expect(await uniques(DAY - 3)).toEqual({ a: 5, b: 1 })
      expect(await uniques(DAY - 20)).toEqual({ a: 5 })
      expect(await uniques(DAY - 15_000)).toEqual({ a: 6 })
    })

    test("late-equals-on-time: a cell that changes after it was published says when and why", async () => {
      await commit(
        cellStep(1, [
          ["late", "events", "1"],
          ["still", "events", "1"],
        ]),
      )
      const first = await run(world.queries.cells(1, RANGE))
      expect(first.map(({ revisedAt, revisionCause }) => [revisedAt, revisionCause])).toEqual([
        [null, null],
        [null, null],
      ])
      await commit(
        cellStep(2, [
          ["late", "events", "1"],
          ["new", "events", "1"],
        ]),
      )
      const [late, fresh, still] = await run(world.queries.cells(1, RANGE))
      expect(late).toMatchObject({ item: "late", revisedAt: checkpoint(2).logTime, revisionCause: "late-data" })
      expect(fresh).toMatchObject({ item: "new", revisedAt: null, revisionCause: null })
      expect(still).toMatchObject({ item: "still", revisedAt: null, revisionCause: null })
      const third = cellStep(3, [["late", "events", "1"]])
      const measures = third.changes.measures.map(({ facts, cells }) => ({
        facts,
        cells: cells.map((cell) => ({ ...cell, cause: "identity" as const })),
      }))
      await commit({ ...third, changes: { ...third.changes, measures } })
      const [revised] = await run(world.queries.cells(1, RANGE, { item: "late" }))
      expect(revised).toMatchObject({ amount: "3", revisedAt: checkpoint(3).logTime, revisionCause: "identity" })
    })

    test("of the intake are the default group's alone", async () => {
      const intake = [{ day: DAY, item: "", stat: "activity", amount: "3", cause: "late-data" as const }]
      await commit(stepOf(1, { intake }))
      await commit(stepOf(1, { group: "build-2", intake }))
      expect([...(await amountsOf(INTAKE)).values()]).toEqual(["3"])
      expect((await run(world.queries.standing)).stored).toEqual({ from: DAY, to: DAY })
    })
  })
}
