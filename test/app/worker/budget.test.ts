import { describe, expect, test } from "vitest"
import { ErrorBudget } from "../../../src/app/worker/ErrorBudget.ts"
import { MovingRate } from "../../../src/app/worker/MovingRate.ts"
import type { WorkerLimits } from "../../../src/app/worker/limits.ts"

const limits = { budgetShare: 0.01, budgetEvents: 100, budgetWindow: 10_000 } as WorkerLimits

describe("the error budget", () => {
  test("bears some failures always, and a share of many events", () => {
    const budget = new ErrorBudget(limits)
    budget.add(100, 100)
    expect(budget.overrun).toBeNull()
    budget.add(1, 1)
    expect(budget.overrun).toMatch(/^101 of the last 101 events could not be folded/)
  })

  test("forgets what is long past", () => {
    const budget = new ErrorBudget(limits)
    budget.add(1_000, 100)
    for (let n = 0; n < 10; n++) budget.add(1_000, 0)
    budget.add(1_000, 100)
    expect(budget.overrun).toBeNull()
    budget.add(1_000, 1)
    expect(budget.overrun).toMatch(/^101 of the last 10000 events/)
  })
})

describe("a moving rate", () => {
  test("is the average of the last ten seconds, and fades", () => {
    const rate = new MovingRate()
    for (let second = 0; second < 20; second++) rate.add(50, second * 1000)
    expect(rate.perSecond(19_500)).toBe(50)
    expect(rate.perSecond(24_000)).toBe(25)
    expect(rate.perSecond(60_000)).toBe(0)
  })
})
