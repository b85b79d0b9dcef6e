import { describe, expect, it } from "vitest"
import type { JsonObject } from "../../../src/domain/event/json.ts"
import { cellsOf, type Told } from "./fixtures.ts"

/** Sums of a property, exact and by currency. */

describe("sums", () => {
  const paid = (amount: unknown, currency?: unknown): Told => ({
    at: "12:00",
    name: "purchase",
    properties: { amount, ...(currency === undefined ? {} : { currency }) } as JsonObject,
  })
  const SUM = { kind: "property-sum", property: "properties.amount" } as const

  it("adds decimals exactly", () => {
    expect(cellsOf([paid(0.1), paid(0.2), paid(-1)], SUM)).toEqual({
      "2024-01-10||sum": "-0.7",
      "2024-01-10||count": 3,
    })
    expect(cellsOf([paid(1e21), paid(1e-7), paid(0.5)], SUM)["2024-01-10||sum"]).toBe("1000000000000000000000.5000001")
    expect(cellsOf([paid(1.5), paid(0.5), paid(8)], SUM)["2024-01-10||sum"]).toBe("10")
    expect(cellsOf([paid(1.25e-9), paid(-0.5)], SUM)["2024-01-10||sum"]).toBe("-0.49999999875")
  })

  it("has no cell for a sum of nothing, yet one for how many there were", () => {
    expect(cellsOf([paid(0.3), paid(-0.3)], SUM)).toEqual({ "2024-01-10||count": 2 })
  })

  it("ignores and counts whatever is no finite JSON number", () => {
    expect(cellsOf([paid("5"), paid(true), paid(null), paid([5]), paid(2)], SUM)).toEqual({
      "2024-01-10||sum": "2",
      "2024-01-10||count": 1,
      "2024-01-10||not-a-number": 4,
    })
  })

  it("never mixes currencies", () => {
    const history = [paid(1, "EUR"), paid(2, "USD"), paid(4, "EUR"), paid(8), paid(16, null), paid("x", "EUR")]
    expect(cellsOf(history, { ...SUM, currency: "properties.currency" })).toEqual({
      "2024-01-10||sum:EUR": "5",
      "2024-01-10||count:EUR": 2,
      "2024-01-10||sum:USD": "2",
      "2024-01-10||count:USD": 1,
      "2024-01-10||sum:": "24",
      "2024-01-10||count:": 2,
      "2024-01-10||not-a-number": 1,
    })
  })
})
