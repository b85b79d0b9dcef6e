import { Result, Schema } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { isJsonObject, type Json } from "../../src/domain/event/json.ts"
import { MetricDefinition, type Renames } from "../../src/domain/metric/definition.ts"
import { oracle } from "../../src/domain/oracle/oracle.ts"
import { arbHistory } from "../support/arbitraries/histories.ts"
import { arbMetrics, arbRenames } from "../support/arbitraries/metrics.ts"
import { arbPacking, define, expectSame, FOR_EVER, project, RUNS_LAW } from "../support/laws.ts"
import { cellTexts, PACKED_WHOLE, packLog } from "../support/MemoryReadModel.ts"

/** Names of events and properties that a metric reads as other names. */

describe("renames", () => {
  /** The event as it would have been sent, had the new names always been the names. */
  const relabelled = (event: Event, { events = {}, properties = {} }: Renames): Event => {
    const name = Object.hasOwn(events, event.name) ? events[event.name]! : event.name
    if (!isJsonObject(event.body["properties"])) return { ...event, name }
    const sent = { ...event.body["properties"] } as Record<string, Json>
    const isSet = (key: string) => Object.hasOwn(sent, key) && sent[key] !== null && typeof sent[key] !== "object"
    for (const [before, now] of Object.entries(properties).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const [old, key] = [before, now].map((field) => field.slice("properties.".length)) as [string, string]
      if (isSet(old) && !isSet(key)) sent[key] = sent[old]!
    }
    return { ...event, name, body: { ...event.body, properties: sent } }
  }

  test("give the cells of a history in which the new names were always used, and the oracle's", () => {
    fc.assert(
      fc.property(
        arbHistory(FOR_EVER),
        arbMetrics,
        arbRenames,
        arbPacking,
        ({ events, settings }, metrics, renamed, packing) => {
          const now = events.map((event) => relabelled(event, renamed))
          for (const { renamed: _renamed, ...metric } of metrics) {
            const expected = project(now, settings, metric).cells()
            expectSame(project(events, settings, { ...metric, renamed }, packing).cells(), expected)
            const told = oracle(packLog(events, PACKED_WHOLE).input, settings, [{ ...metric, renamed }])
            expectSame(cellTexts(told.cells.get(metric.name)!), expected)
          }
        },
      ),
      { numRuns: RUNS_LAW },
    )
  })

  test("of a name that is renamed itself are refused, in a circle or onto itself too", () => {
    const definition = define("m", { formula: { kind: "event-count" } })
    const read = (renamed: unknown) => Schema.decodeUnknownResult(MetricDefinition)({ ...definition, renamed })
    expect(
      Result.isSuccess(read({ events: { a: "c", b: "c" }, properties: { "properties.a": "properties.b.c" } })),
    ).toBe(true)
    for (const events of [{ a: "b", b: "c" }, { a: "b", b: "a" }, { a: "a" }]) {
      const properties = Object.fromEntries(
        Object.entries(events).map((pair) => pair.map((name) => `properties.${name}`)),
      )
      for (const renamed of [{ events }, { properties }]) {
        const error = Result.getOrThrow(Result.flip(read(renamed)))
        expect(error.message).toMatch(/is renamed itself; give every old name the latest one/)
      }
    }
    expect(Result.isFailure(read({ properties: { plan: "properties.tier" } }))).toBe(true)
    expect(Result.isFailure(read({ properties: { "properties.plan": "context.tier" } }))).toBe(true)
    expect(Result.isFailure(read({ events: { a: " " } }))).toBe(true)
  })
})
