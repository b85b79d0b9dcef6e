import { defineMetric } from "../src/index.ts"

// A tree of three metrics: what the product is for, a result that drives it, and what the team works on.
// `tidemark metrics plan examples/metrics.ts` shows what applying them would change.
export default [
  defineMetric({
    name: "purchases_per_user",
    version: 1,
    description: "Purchases per active person",
    owner: "product",
    frequency: "weekly",
    target: 0.5,
    tier: "north-star",
    formula: { kind: "per-user", of: { metric: "purchases", stat: "events" } },
  }),
  defineMetric({
    name: "purchases",
    version: 1,
    description: "Purchases of more than nothing",
    owner: "growth",
    tier: "key-result",
    parent: "purchases_per_user",
    filter: { events: ["purchase"], where: [{ field: "properties.amount", op: "gt", value: 0 }] },
    formula: { kind: "event-count" },
  }),
  defineMetric({
    name: "export_uses_per_user",
    version: 1,
    description: "How often those who export do it",
    owner: "growth",
    tier: "input",
    parent: "purchases",
    formula: {
      kind: "ratio",
      numerator: { metric: "feature_adoption", stat: "events", value: "export" },
      denominator: { metric: "feature_adoption", stat: "users", value: "export" },
    },
  }),
]
