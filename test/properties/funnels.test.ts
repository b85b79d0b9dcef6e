import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import type { FunnelFormula } from "../../src/domain/metric/definition.ts"
import { oracleFunnel } from "../../src/domain/oracle/oracle.ts"
import type { Settings } from "../../src/domain/settings.ts"
import { formatDay, parseDay } from "../../src/domain/time/calendar.ts"
import { parseDuration } from "../../src/domain/time/duration.ts"
import { arbHistory, type History } from "../support/arbitraries/histories.ts"
import { arbFunnel } from "../support/arbitraries/metrics.ts"
import {
  arbPacking,
  DAY,
  define,
  expectSame,
  FOR_EVER,
  project,
  RUNS_FUNNEL_ORACLE,
  RUNS_KIND,
  shuffled,
} from "../support/laws.ts"
import { type CellTexts, packLog, type Packing } from "../support/MemoryReadModel.ts"

/** What holds of funnels alone: steps, windows, grace, ties and shifts. */

describe("funnels", () => {
  const windowMillisOf = ({ window }: FunnelFormula): number =>
    window === "none" ? Number.POSITIVE_INFINITY : parseDuration(window ?? "14d")!

  const read = (cells: CellTexts, day: string, step: number, stat: string): number =>
    Number(cells.get(`${day}|${step}|${stat}`) ?? 0)

  const daysOf = (cells: CellTexts): ReadonlyArray<string> => [
    ...new Set([...cells.keys()].map((key) => key.split("|")[0]!)),
  ]

  const funnelCells = (events: ReadonlyArray<Event>, settings: Settings, formula: FunnelFormula, packing?: Packing) =>
    project(events, settings, define("funnel", { formula }), packing).cells()

  test("funnel-monotone: no step has more persons than the one before, nor takes longer than the window", () => {
    fc.assert(
      fc.property(arbHistory(), arbFunnel, arbPacking, ({ events, settings }, formula, packing) => {
        const cells = funnelCells(events, settings, formula, packing)
        for (const day of daysOf(cells)) {
          let millis = 0
          for (let step = 2; step <= formula.steps.length; step++) {
            const users = read(cells, day, step, "users")
            expect(users).toBeLessThanOrEqual(read(cells, day, step - 1, "users"))
            millis = read(cells, day, step, "from_previous_ms")
            expect(millis).toBeGreaterThanOrEqual(0)
            expect(millis).toBeLessThanOrEqual(users === 0 ? 0 : users * windowMillisOf(formula))
          }
        }
      }),
      { numRuns: RUNS_KIND },
    )
  })

  /** What widening one rule does to every count: nothing gets smaller. */
  const expectNoneSmaller = (
    { events, settings }: History,
    narrow: FunnelFormula,
    wide: FunnelFormula,
    packing: Packing,
  ): void => {
    const before = funnelCells(events, settings, narrow, packing)
    const after = funnelCells(events, settings, wide, packing)
    for (const day of daysOf(before)) {
      for (let step = 1; step <= narrow.steps.length; step++) {
        expect(read(after, day, step, "users")).toBeGreaterThanOrEqual(read(before, day, step, "users"))
      }
    }
  }

  const arbPlainFunnel = arbFunnel.map((formula): FunnelFormula => ({ ...formula, exclusions: [] }))

  test("funnel-window-widen: a wider window makes no count smaller, where nothing is excluded", () => {
    fc.assert(
      fc.property(
        arbHistory(),
        arbPlainFunnel,
        fc.constantFrom("none", "30d", "1d", "30m", "10ms"),
        arbPacking,
        (history, formula, other, packing) => {
          const [narrow, wide] = [formula, { ...formula, window: other }].sort(
            (a, b) => windowMillisOf(a) - windowMillisOf(b),
          ) as [FunnelFormula, FunnelFormula]
          expectNoneSmaller(history, narrow, wide, packing)
        },
      ),
      { numRuns: RUNS_KIND },
    )
  })

  test("a longer grace makes no count smaller, where nothing is excluded", () => {
    fc.assert(
      fc.property(
        arbHistory(),
        arbPlainFunnel,
        fc.shuffledSubarray(["0s", "1ms", "10ms", "30m"], { minLength: 2, maxLength: 2 }),
        arbPacking,
        (history, formula, graces, packing) => {
          const [less, more] = graces.toSorted((a, b) => parseDuration(a)! - parseDuration(b)!)
          expectNoneSmaller(history, { ...formula, grace: less! }, { ...formula, grace: more! }, packing)
        },
      ),
      { numRuns: RUNS_FUNNEL_ORACLE },
    )
  })

  test("funnel-tie-symmetric: events of one instant count alike in any order of arrival", () => {
    const arb = arbHistory(FOR_EVER).chain(({ events, settings }) => {
      const tied = events.map((event) => ({ ...event, time: Math.floor(event.time / DAY) * DAY }))
      return shuffled(tied).map((other) => ({ events: tied, other, settings }))
    })
    fc.assert(
      fc.property(arb, arbFunnel, arbPacking, ({ events, other, settings }, formula, packing) => {
        expectSame(funnelCells(other, settings, formula, packing), funnelCells(events, settings, formula))
      }),
      { numRuns: RUNS_KIND },
    )
  })

  test("funnel-shift: all times moved by whole days move all cells by as many", () => {
    fc.assert(
      fc.property(
        arbHistory({ timeZone: "UTC" }),
        arbFunnel,
        fc.integer({ min: -400, max: 400 }),
        arbPacking,
        ({ events, settings }, formula, days, packing) => {
          const moved = events.map((event) => ({ ...event, time: event.time + days * DAY }))
          const cells = funnelCells(events, settings, formula, packing)
          expectSame(
            funnelCells(moved, settings, formula, packing),
            new Map(
              [...cells].map(([key, amount]) => [
                formatDay(parseDay(key.slice(0, 10))! + days) + key.slice(10),
                amount,
              ]),
            ),
          )
        },
      ),
      { numRuns: RUNS_KIND },
    )
  })

  test("persons of all days are at least those who count once in all time", () => {
    fc.assert(
      fc.property(arbHistory(), arbFunnel, arbPacking, ({ events, settings }, formula, packing) => {
        const cells = funnelCells(events, settings, formula, packing)
        const { users } = oracleFunnel(packLog(events, packing).input, settings, formula, null)
        if (formula.exclusionPolicy === "remove-person" && (formula.exclusions ?? []).length > 0) return
        if (formula.reentry === "first-entry-only") return
        users.forEach((count, index) => {
          const sum = daysOf(cells).reduce((total, day) => total + read(cells, day, index + 1, "users"), 0)
          expect(sum).toBeGreaterThanOrEqual(count)
        })
      }),
      { numRuns: RUNS_KIND },
    )
  })
})
