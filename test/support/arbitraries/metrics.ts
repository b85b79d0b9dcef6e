import fc from "fast-check"
import type {
  Condition,
  EventFilter,
  FunnelExclusion,
  FunnelFormula,
  FunnelStep,
  MetricDefinition,
  Renames,
} from "../../../src/domain/metric/definition.ts"
import { OPERATORS } from "../../../src/domain/metric/definition.ts"
import { STEP_NAMES, TRACK_NAMES } from "./names.ts"
import { pick, record } from "./plain.ts"

/** Generators of definitions of metrics, whose conditions, funnels and renames meet what happens in histories. */

/** Durations of metrics; histories place events exactly at the ends of the same ones. */
const WINDOWS = ["0s", "10ms", "30m", "1h", "1d", "14d", "14d"] as const
const GAPS = ["10ms", "30m", "1h"] as const
const GRACES = ["0s", "1ms", "10ms", "30m"] as const

const FILTER_NAMES = [...TRACK_NAMES, ...STEP_NAMES, "screen_view", "alias", "group", "never_seen"]
const BREAKDOWNS = [
  "event",
  "kind",
  "userId",
  "sessionId",
  "properties.feature_name",
  "properties.url",
  "properties.cart.total",
  "properties.__proto__.polluted",
  "context.os.name",
] as const

type Scalar = string | number | boolean

/** Fields with values to compare them to: such as occur, such as nearly do, and of the other types. */
const CONDITION_VALUES: Readonly<Record<string, ReadonlyArray<Scalar>>> = {
  event: ["click", "feature_used", "CLICK", "c", "page", ""],
  kind: ["track", "page", "identify", "a"],
  userId: ["ann", "bob", "😀", "\uff5e", "__proto__", "never"],
  anonymousId: ["d1", "ann", "d", "gerät"],
  sessionId: ["s1", "s2", "S"],
  "properties.feature_name": ["export", "EXPORT", "port", "", "7", 7, true, "true", "ü"],
  "properties.url": ["/", "/a", "/😀", "/\uff5e", 404, "404"],
  "properties.amount": [0, 0.2, "0.2", 10, "10", "1e1", "ten", -1, 1e21],
  "properties.currency": ["EUR", "eur", "", "U"],
  "properties.cart.total": [3, "3", 2, "3.0"],
  "properties.__proto__.polluted": ["yes", "y"],
  "properties.__proto__": ["plain"],
  "properties.constructor.name": ["Object"],
  "context.os.name": ["Linux", "linux", "😀"],
  "traits.plan": ["pro", "p"],
}

const arbCondition: fc.Arbitrary<Condition> = pick(Object.keys(CONDITION_VALUES)).chain((field) =>
  fc
    .tuple(pick(OPERATORS), fc.array(pick(CONDITION_VALUES[field]!), { minLength: 2, maxLength: 4 }))
    .map(([op, values]) => {
      switch (op) {
        case "is_set":
        case "is_not_set":
          return { field, op }
        case "in":
        case "not_in":
          return { field, op, value: values }
        case "between":
          return { field, op, value: values.slice(0, 2) }
        default:
          return { field, op, value: values[0]! }
      }
    }),
)

/** Mostly none: two conditions at once leave little of a small history. */
const arbWhere = fc.oneof(
  { arbitrary: fc.constant([]), weight: 4 },
  { arbitrary: arbCondition.map((condition) => [condition]), weight: 3 },
  { arbitrary: fc.tuple(arbCondition, arbCondition), weight: 1 },
)

const arbStep: fc.Arbitrary<FunnelStep> = record(
  {
    event: fc.oneof({ arbitrary: pick(STEP_NAMES), weight: 4 }, pick(["*", "*", "identify"])),
    // Each step has to be met, so conditions are rarer still than elsewhere.
    where: fc.oneof({ arbitrary: fc.constant([]), weight: 3 }, arbWhere),
    name: pick(["Start", "End"]),
  },
  { requiredKeys: ["event"] },
)

const arbExclusion = (stepCount: number): fc.Arbitrary<FunnelExclusion> =>
  fc
    .tuple(
      record(
        { event: pick([...STEP_NAMES, "sign_up", "constructor", "*", "*"]), where: arbWhere },
        { requiredKeys: ["event"] },
      ),
      fc.integer({ min: 1, max: stepCount - 1 }),
      fc.nat(99),
    )
    .map(([exclusion, fromStep, further]) => ({
      ...exclusion,
      fromStep,
      toStep: fromStep + 1 + (further % (stepCount - fromStep)),
    }))

/** Funnels whose steps overlap, with every option. */
export const arbFunnel: fc.Arbitrary<FunnelFormula> = fc.array(arbStep, { minLength: 2, maxLength: 5 }).chain((steps) =>
  record(
    {
      kind: fc.constant("funnel" as const),
      steps: fc.constant(steps),
      window: pick(["none", "none", ...WINDOWS]),
      order: fc.constant("ordered" as const),
      reentry: pick(["best-entry", "first-entry-only"] as const),
      grace: pick(GRACES),
      exclusions: fc.array(arbExclusion(steps.length), { maxLength: 2 }),
      exclusionPolicy: pick(["keep-reached", "remove-person"] as const),
    },
    { requiredKeys: ["kind", "steps"] },
  ),
)

const arbFilter: fc.Arbitrary<EventFilter> = record(
  { events: fc.uniqueArray(pick(FILTER_NAMES), { minLength: 1, maxLength: 5 }), where: arbWhere },
  { requiredKeys: [] },
)

const renamesOf = (olds: ReadonlyArray<string>, news: ReadonlyArray<string>) =>
  fc
    .subarray([...olds], { minLength: 1 })
    .chain((chosen) => fc.tuple(...chosen.map((old) => pick(news).map((name) => [old, name] as const))))
    .map((pairs) => Object.fromEntries(pairs))

type Unnamed = Omit<MetricDefinition, "name" | "version">

const arbSelection = record({ filter: arbFilter, breakdown: pick(BREAKDOWNS) }, { requiredKeys: [] })

const withFormula = (formula: fc.Arbitrary<MetricDefinition["formula"]>): fc.Arbitrary<Unnamed> =>
  fc.tuple(arbSelection, formula).map(([selection, chosen]) => ({ ...selection, formula: chosen }))

const arbActiveUsers = withFormula(fc.constant({ kind: "active-users" }))

const arbEventCount = withFormula(fc.constant({ kind: "event-count" }))

const arbPropertySum = withFormula(
  record(
    {
      kind: fc.constant("property-sum" as const),
      property: pick(["properties.amount", "properties.amount", "properties.cart.total", "properties.feature_name"]),
      currency: pick(["properties.currency", "event"]),
    },
    { requiredKeys: ["kind", "property"] },
  ),
)

const arbSessions: fc.Arbitrary<Unnamed> = fc
  .tuple(
    record({ filter: arbFilter }, { requiredKeys: [] }),
    record(
      {
        kind: fc.constant("sessions" as const),
        gap: pick(GAPS),
        grouping: pick(["client-id", "both"] as const),
        midnightCut: fc.boolean(),
      },
      { requiredKeys: ["kind"] },
    ),
  )
  .map(([selection, formula]) => ({ ...selection, formula }))

const arbFunnelMetric: fc.Arbitrary<Unnamed> = arbFunnel.map((formula) => ({ formula }))

/** Old and new names that occur; two old ones may have one new one. */
export const arbRenames: fc.Arbitrary<Renames> = record(
  {
    events: renamesOf(
      ["sign_up", "feature_used", "identify", "constructor"],
      ["click", "purchase", "page_view", "new"],
    ),
    properties: renamesOf(
      ["properties.url", "properties.feature_name", "properties.currency"],
      ["properties.amount", "properties.path", "properties.page_name", "properties.new"],
    ),
  },
  { requiredKeys: [] },
)

/** A few definitions of every kind, named apart. */
export const arbMetrics: fc.Arbitrary<Array<MetricDefinition>> = fc
  .tuple(
    ...[arbActiveUsers, arbEventCount, arbPropertySum, arbFunnelMetric, arbSessions].map((metric) =>
      fc.array(
        fc
          .tuple(metric, fc.option(arbRenames, { freq: 3, nil: undefined }))
          .map(([said, renamed]) => (renamed === undefined ? said : { ...said, renamed })),
        { minLength: 1, maxLength: 3 },
      ),
    ),
  )
  .map((kinds) => kinds.flat().map((metric, index) => ({ ...metric, name: `metric_${index}`, version: 1 })))
