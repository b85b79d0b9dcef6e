import fc from "fast-check"
import type { FunnelFormula, MetricDefinition } from "../../src/domain/metric/definition.ts"
import { arbFunnel, arbMetrics } from "./arbitraries/metrics.ts"
import { define } from "./laws.ts"

const funnelOf = (...events: ReadonlyArray<string>): FunnelFormula => ({
  kind: "funnel",
  steps: events.map((event) => ({ event })),
})

/** Definitions drawn anew for every run, one at a time. */
const drawn = (kind: MetricDefinition["formula"]["kind"]): fc.Arbitrary<MetricDefinition> =>
  arbMetrics.map((metrics) => metrics.find(({ formula }) => formula.kind === kind)!)

/** Every kind of measure: definitions that say something in small histories, then any that can be said. */
export const MEASURES: ReadonlyArray<readonly [name: string, definition: fc.Arbitrary<MetricDefinition>]> = [
  ...[
    define("active users", { formula: { kind: "active-users" } }),
    define("active users, filtered", {
      filter: {
        events: ["click", "purchase", "page_view"],
        where: [{ field: "properties.amount", op: "neq", value: 10 }],
      },
      formula: { kind: "active-users" },
    }),
    define("active users by event", { breakdown: "event", formula: { kind: "active-users" } }),
    define("active users by feature", { breakdown: "properties.feature_name", formula: { kind: "active-users" } }),
    define("event count", { breakdown: "event", formula: { kind: "event-count" } }),
    define("property sum by currency", {
      formula: { kind: "property-sum", property: "properties.amount", currency: "properties.currency" },
    }),
    define("sessions", { formula: { kind: "sessions" } }),
    define("sessions, both", { formula: { kind: "sessions", grouping: "both" } }),
    define("sessions, cut at midnight", { formula: { kind: "sessions", midnightCut: true } }),
    define("sessions, short gap", { formula: { kind: "sessions", gap: "10ms", grouping: "both", midnightCut: true } }),
    define("funnel", { formula: funnelOf("page_view", "click", "purchase") }),
    define("funnel of any activity", { formula: { ...funnelOf("*", "*", "click", "*"), window: "none" } }),
    define("funnel of equal steps, first entry", {
      formula: { ...funnelOf("click", "click", "click"), window: "1h", reentry: "first-entry-only" },
    }),
    define("funnel with grace", { formula: { ...funnelOf("click", "*", "page_view"), window: "1d", grace: "10ms" } }),
    define("funnel that excludes", {
      formula: {
        ...funnelOf("page_view", "click", "*"),
        window: "none",
        exclusions: [{ event: "feature_used", fromStep: 1, toStep: 3 }],
      },
    }),
    define("funnel that removes", {
      formula: {
        ...funnelOf("*", "click"),
        window: "30m",
        exclusions: [{ event: "purchase", fromStep: 1, toStep: 2 }],
        exclusionPolicy: "remove-person",
      },
    }),
  ].map((definition) => [definition.name, fc.constant(definition)] as const),
  ["any active users", drawn("active-users")],
  ["any event count", drawn("event-count")],
  ["any property sum", drawn("property-sum")],
  ["any sessions", drawn("sessions")],
  ["any funnel", arbFunnel.map((formula) => define("funnel", { formula }))],
]
