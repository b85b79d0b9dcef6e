import { deepStrictEqual } from "node:assert"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { CONTROL_FACTS, type ControlFactName, decodeControlFact } from "../../src/domain/control/ControlFact.ts"
import { type FactHistory, newestVersion, readThroughHistory } from "../../src/domain/control/FactHistory.ts"
import type { Json, JsonObject } from "../../src/domain/event/json.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { arbMetrics } from "../support/arbitraries/metrics.ts"

const asJson = (value: unknown): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject

const problemOf = (name: string, body: Json): string => {
  const error = Result.getOrThrow(Result.flip(decodeControlFact(name, body)))
  expect(error._tag).toBe("UnknownControlFact")
  return error.problem
}

describe("control facts", () => {
  test("what is recorded is read as it was", () => {
    fc.assert(
      fc.property(arbMetrics, fc.subarray(Object.entries(DEFAULT_SETTINGS)), (metrics, settings) => {
        for (const definition of metrics) {
          const body = { definition: asJson(definition), promote: "when-asked", by: "ann@host", why: null }
          const fact = Result.getOrThrow(decodeControlFact("metric_applied", asJson(body)))
          deepStrictEqual(fact, { name: "metric_applied", body })
        }
        const change = Object.fromEntries(settings)
        deepStrictEqual(Result.getOrThrow(decodeControlFact("settings_changed", asJson(change))), {
          name: "settings_changed",
          body: change,
        })
      }),
      { numRuns: 50 },
    )
  })

  test("a fact or a key that is not known may change the numbers, so it is not passed over", () => {
    const definition = { name: "m", version: 1, formula: { kind: "event-count" } }
    expect(Result.isSuccess(decodeControlFact("metric_applied", definition))).toBe(true)
    expect(problemOf("metric_applied", { ...definition, weighted: true })).toContain("weighted")
    expect(problemOf("metric_applied", { ...definition, formula: { kind: "event-count", twice: 1 } })).toContain(
      "twice",
    )
    expect(problemOf("settings_changed", { timeZone: "UTC", calendar: "lunar" })).toContain("calendar")
    for (const name of ["person_erased", "constructor", "__proto__", ""]) {
      expect(problemOf(name, definition)).toBe("its name is not known")
    }
  })

  test.each(Object.keys(CONTROL_FACTS) as ReadonlyArray<ControlFactName>)(
    "any JSON as the body of %s is a fact or a sentence",
    (name) => {
      fc.assert(
        fc.property(fc.jsonValue(), (body) => {
          const decoded = decodeControlFact(name, body as Json)
          if (Result.isFailure(decoded)) expect(decoded.failure.problem).toMatch(/^[^\n]+$/)
          else expect(decoded.success.name).toBe(name)
        }),
      )
    },
  )
})

describe("the history of a fact", () => {
  /** Three versions of a made-up fact: a number, an object with it, and one in thousandths. */
  const amounts: FactHistory<number> = {
    versionOf: (body) => (typeof body === "number" ? 1 : Object.hasOwn(body as JsonObject, "amount") ? 2 : 3),
    upcasters: [
      (body) => ({ amount: body }),
      (body) => ({ thousandths: Number((body as JsonObject)["amount"]) * 1000 }),
    ],
    read: (body) => {
      const thousandths = (body as JsonObject)["thousandths"]
      return typeof thousandths === "number" ? Result.succeed(thousandths) : Result.fail({ message: "no amount" })
    },
  }

  test("a body of every version is read as today's", () => {
    expect(newestVersion(amounts)).toBe(3)
    fc.assert(
      fc.property(fc.integer(), (amount) => {
        for (const body of [amount, { amount }, { thousandths: amount * 1000 }]) {
          expect(Result.getOrThrow(readThroughHistory(amounts, body))).toBe(amount * 1000)
        }
      }),
    )
  })
})
