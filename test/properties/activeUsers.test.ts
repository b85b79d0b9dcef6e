import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { periodOf, periodsOf, type Interval, usersPerPeriod } from "../../src/app/query/intervals.ts"
import { daysSinceBefore } from "../../src/domain/measure/activeUsers.ts"
import { factKey } from "../../src/domain/measure/Fact.ts"
import { oracleActiveUsers } from "../../src/domain/oracle/oracle.ts"
import type { Returned } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { firstDayOfMonth, formatDay, parseDay } from "../../src/domain/time/calendar.ts"
import { arbHistory } from "../support/arbitraries/histories.ts"
import { arbPacking, DAY, define, project, RUNS_KIND } from "../support/laws.ts"
import { type CellTexts, type MemoryReadModel, packLog } from "../support/MemoryReadModel.ts"

/** What holds of active users alone: of days, weeks, months, windows and values. */

describe("active users", () => {
  const definition = define("active_users", { formula: { kind: "active-users" } })

  /** Persons of every day by when they were observed before, as the read model's query gives them from its cells. */
  const returnedOf = (model: MemoryReadModel): ReadonlyArray<Returned> =>
    [...model.cells()].flatMap(([key, amount]) => {
      const since = daysSinceBefore(key.slice(key.lastIndexOf("|") + 1))
      return since === null ? [] : [{ day: parseDay(key.slice(0, 10))!, since, users: Number(amount) }]
    })

  const rangeOf = (cells: CellTexts) => {
    const days = [...cells.keys()].map((key) => parseDay(key.slice(0, 10))!)
    return { from: Math.min(...days), to: Math.max(...days) }
  }

  test("dau-wau-mau: days ≤ weeks ≤ months on every day, and no week has more than its days together", () => {
    fc.assert(
      fc.property(arbHistory(), arbPacking, ({ events, settings }, packing) => {
        const model = project(events, settings, definition, packing)
        const range = rangeOf(model.cells())
        const count = (days: number) =>
          usersPerPeriod(returnedOf(model), { unit: "rolling", days }, range, settings.weekStart)
        const [daily, weekly, monthly] = [count(1), count(7), count(30)] as const
        for (let day = range.from; day <= range.to; day++) {
          const [dau, wau, mau] = [daily.get(day) ?? 0, weekly.get(day) ?? 0, monthly.get(day) ?? 0]
          expect(String(dau)).toBe(model.cells().get(`${formatDay(day)}||users`) ?? "0")
          expect(dau).toBeLessThanOrEqual(wau)
          expect(wau).toBeLessThanOrEqual(mau)
          let sum = 0
          for (let before = day - 6; before <= day; before++) sum += daily.get(before) ?? 0
          expect(wau).toBeLessThanOrEqual(sum)
        }
      }),
      { numRuns: RUNS_KIND },
    )
  })

  test("persons of weeks, months and windows are the oracle's", () => {
    const arbInterval: fc.Arbitrary<Interval> = fc.constantFrom(
      { unit: "day" },
      { unit: "week" },
      { unit: "month" },
      { unit: "rolling", days: 7 },
      { unit: "rolling", days: 30 },
      { unit: "rolling", days: 90 },
    )
    fc.assert(
      fc.property(arbHistory(), arbInterval, fc.nat(99), arbPacking, ({ events, settings }, interval, at, packing) => {
        const model = project(events, settings, definition, packing)
        const range = rangeOf(model.cells())
        if (range.to < range.from) return
        const { weekStart } = settings
        const counts = usersPerPeriod(returnedOf(model), interval, range, weekStart)
        // The oracle is asked for one period only, since it takes all events for each.
        const day = parseDay([...model.cells().keys()][at % model.cells().size]!.slice(0, 10))!
        const period = periodOf(interval, day, weekStart)
        const [from, to] = periodEnds(interval, day, period)
        const expected = oracleActiveUsers(packLog(events, packing).input, settings, undefined, {
          from: formatDay(Math.max(from, range.from)),
          to: formatDay(Math.min(to, range.to)),
        })
        expect(counts.get(period) ?? 0).toBe(expected)
        expect(periodsOf(interval, range, weekStart)).toContain(period)
      }),
      { numRuns: RUNS_KIND },
    )
  })

  const periodEnds = (interval: Interval, day: number, period: number): readonly [number, number] => {
    switch (interval.unit) {
      case "day":
        return [day, day]
      case "week":
        return [period, period + 6]
      case "month":
        return [period, firstDayOfMonth(monthAfter(period)) - 1]
      case "rolling":
        return [day - interval.days + 1, day]
    }
  }

  const monthAfter = (firstDay: number): number => {
    const [year, month] = formatDay(firstDay).split("-").map(Number) as [number, number]
    return (year - 1970) * 12 + month
  }

  test("uniques-not-additive: the greatest value ≤ the total ≤ all values together", () => {
    fc.assert(
      fc.property(
        arbHistory(),
        // Fields that every event has.
        fc.constantFrom("event", "kind"),
        arbPacking,
        ({ events, settings }, breakdown, packing) => {
          const total = project(events, settings, definition, packing).cells()
          const parts = project(events, settings, { ...definition, breakdown }, packing).cells()
          for (const [key, amount] of total) {
            if (!key.endsWith("|users")) continue
            const day = key.slice(0, 10)
            const values = [...parts].filter(([part]) => part.startsWith(day) && part.endsWith("|users"))
            const numbers = values.map(([, users]) => Number(users))
            expect(Math.max(...numbers)).toBeLessThanOrEqual(Number(amount))
            expect(numbers.reduce((sum, users) => sum + users, 0)).toBeGreaterThanOrEqual(Number(amount))
          }
        },
      ),
      { numRuns: RUNS_KIND },
    )
  })

  test("settings by default say what semantics.md says", () => {
    expect(DEFAULT_SETTINGS).toEqual({
      timeZone: "UTC",
      weekStart: "monday",
      mergeWindowMillis: 30 * DAY,
      dedupeHorizonMillis: 7 * DAY,
    })
    expect(factKey("", 0)).toBe("0|")
  })
})
