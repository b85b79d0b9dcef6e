import { Schema } from "effect"
import { parseDuration } from "../time/duration.ts"

/**
 * Metric definitions as data: what a YAML file holds, what the log records when one is applied, and what every answer
 * names with its version. Nothing is edited in place: a change is a new version.
 */

/** Operators of conditions; see docs/reference/metrics.md for what each compares. */
export const OPERATORS = [
  "eq",
  "neq",
  "in",
  "not_in",
  "contains",
  "icontains",
  "starts_with",
  "gt",
  "gte",
  "lt",
  "lte",
  "between",
  "is_set",
  "is_not_set",
] as const

const Scalar = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])

const FIELD = /^(?:event|kind|userId|anonymousId|sessionId|(?:properties|context|traits)(?:\.[^.\s]+)+)$/u

/** A field of an event: `event` (its name), `kind`, `userId`, `anonymousId`, `sessionId`, `properties.x`, `context.x.y`, `traits.x`. */
const Field = Schema.String.check(
  Schema.isPattern(FIELD, {
    message: "expected event, kind, userId, anonymousId, sessionId, properties.…, context.… or traits.…",
  }),
)

const PROPERTY = /^properties(?:\.[^.\s]+)+$/

const Property = Schema.String.check(Schema.isPattern(PROPERTY, { message: "expected properties.…" }))

/** One condition on one field. `value` is one scalar; `in` and `not_in` take a list, `between` a list of two. */
export const Condition = Schema.Struct({
  field: Field,
  op: Schema.Literals(OPERATORS),
  value: Schema.optionalKey(Schema.Union([Scalar, Schema.Array(Scalar)])),
}).check(
  Schema.makeFilter(({ op, value }) => {
    const list = Array.isArray(value)
    if (op === "is_set" || op === "is_not_set") return value === undefined || `"${op}" takes no value`
    if (value === undefined) return `"${op}" needs a value`
    if (op === "in" || op === "not_in") return list || `"${op}" needs a list of values`
    if (op === "between") return (list && value.length === 2) || `"between" needs a list of two values`
    return !list || `"${op}" takes one value, not a list`
  }),
)
export type Condition = typeof Condition.Type

const EventName = Schema.String.check(Schema.isPattern(/\S/u, { message: "expected an event name that is not empty" }))

/** Which events count: any of `events` (all activity when absent) for which all of `where` hold. */
export const EventFilter = Schema.Struct({
  events: Schema.optionalKey(Schema.Array(EventName).check(Schema.isMinLength(1))),
  where: Schema.optionalKey(Schema.Array(Condition)),
})
export type EventFilter = typeof EventFilter.Type

/** A duration such as `30m`, `14d`. */
const DurationText = Schema.String.check(
  Schema.makeFilter((text) => parseDuration(text) !== undefined || `expected a duration such as 30m, 12h or 14d`),
)

/** One funnel step: events of this name (`*`: any activity) for which all conditions hold. */
export const FunnelStep = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  event: EventName,
  where: Schema.optionalKey(Schema.Array(Condition)),
})
export type FunnelStep = typeof FunnelStep.Type

/** Fewest and most steps of a funnel. */
export const FUNNEL_STEPS_MIN = 2
export const FUNNEL_STEPS_MAX = 50

/** An event that spoils an attempt when it lies strictly between reaching `fromStep` and the step after it, for each step from `fromStep` up to before `toStep`. Steps count from 1. */
export const FunnelExclusion = Schema.Struct({
  event: EventName,
  where: Schema.optionalKey(Schema.Array(Condition)),
  fromStep: Schema.Int,
  toStep: Schema.Int,
})
export type FunnelExclusion = typeof FunnelExclusion.Type

export const FunnelFormula = Schema.Struct({
  kind: Schema.Literal("funnel"),
  steps: Schema.Array(FunnelStep).check(
    Schema.makeFilter(
      (steps) =>
        (steps.length >= FUNNEL_STEPS_MIN && steps.length <= FUNNEL_STEPS_MAX) ||
        `a funnel has ${FUNNEL_STEPS_MIN} to ${FUNNEL_STEPS_MAX} steps, found ${steps.length}`,
    ),
  ),
  /** From the entry, end included; `none` for no limit. Default 14d. */
  window: Schema.optionalKey(Schema.Union([Schema.Literal("none"), DurationText])),
  order: Schema.optionalKey(Schema.Literals(["ordered"])),
  /** Default `best-entry`. */
  reentry: Schema.optionalKey(Schema.Literals(["best-entry", "first-entry-only"])),
  /** How far out of order two events may be and still be taken in the order that converts. Default 0s. */
  grace: Schema.optionalKey(DurationText),
  exclusions: Schema.optionalKey(Schema.Array(FunnelExclusion)),
  /** What a spoiled attempt does. Default `keep-reached`. */
  exclusionPolicy: Schema.optionalKey(Schema.Literals(["keep-reached", "remove-person"])),
}).check(
  Schema.makeFilter(({ steps, exclusions }) => {
    const wrong = exclusions?.find(
      ({ fromStep, toStep }) => fromStep < 1 || toStep <= fromStep || toStep > steps.length,
    )
    return wrong === undefined || `an exclusion goes from a step to a later one within 1…${steps.length}`
  }),
)
export type FunnelFormula = typeof FunnelFormula.Type

const MetricName = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z0-9_]{0,62}$/u, {
    message: "expected a name of lower-case letters, digits and _, beginning with a letter, at most 63 long",
  }),
)

/** A number of another metric: one of its statistics (statistics.ts), per value of its breakdown or of one value. */
export const Operand = Schema.Struct({
  metric: MetricName,
  stat: Schema.String.check(Schema.isPattern(/\S/u, { message: "expected the name of a statistic" })),
  value: Schema.optionalKey(Schema.String),
})
export type Operand = typeof Operand.Type

/** Most numbers that one `sum` adds up. */
export const SUM_OPERANDS_MAX = 50

/** What is computed. */
export const Formula = Schema.Union([
  /** Persons with at least one event a day, and the events. */
  Schema.Struct({ kind: Schema.Literal("active-users") }),
  /** Events a day. */
  Schema.Struct({ kind: Schema.Literal("event-count") }),
  /** Exact sum and number of a numeric property a day; with `currency`, one of each for every currency. */
  Schema.Struct({
    kind: Schema.Literal("property-sum"),
    property: Field,
    currency: Schema.optionalKey(Field),
  }),
  FunnelFormula,
  Schema.Struct({
    kind: Schema.Literal("sessions"),
    /** The longest pause within a session. Default 30m. */
    gap: Schema.optionalKey(DurationText),
    /** `client-id` (default): a client session id groups instead of the gap; `both`: a gap cuts it too. */
    grouping: Schema.optionalKey(Schema.Literals(["client-id", "both"])),
    /** Whether local midnight ends every session. Default false. */
    midnightCut: Schema.optionalKey(Schema.Boolean),
  }),
  /** One number of other metrics over another. */
  Schema.Struct({ kind: Schema.Literal("ratio"), numerator: Operand, denominator: Operand }),
  /** Numbers of other metrics added up. */
  Schema.Struct({
    kind: Schema.Literal("sum"),
    of: Schema.Array(Operand).check(
      Schema.makeFilter(
        (of) =>
          (of.length >= 1 && of.length <= SUM_OPERANDS_MAX) ||
          `a sum has 1 to ${SUM_OPERANDS_MAX} operands, found ${of.length}`,
      ),
    ),
  }),
  /** A number of another metric over the persons of an active-users metric. */
  Schema.Struct({
    kind: Schema.Literal("per-user"),
    of: Operand,
    /** Default `active_users`. */
    users: Schema.optionalKey(MetricName),
  }),
])
export type Formula = typeof Formula.Type

/** Whether the numbers of a day follow from the events of that day alone, whoever the persons are. */
export const countsDayByDay = ({ formula: { kind } }: Pick<MetricDefinition, "formula">): boolean =>
  kind === "event-count" || kind === "property-sum"

/** The greatest version of a metric: databases hold no greater one as an integer. */
export const VERSION_MAX = 2_147_483_647

/** A formula of numbers that other metrics have. */
export type CombiningFormula = Extract<Formula, { kind: "ratio" | "sum" | "per-user" }>

/**
 * What was called otherwise once, old name → new name: events of the old name count as the new one, and where the new
 * property is not set the old one is read. One step each: a new name is no old name too.
 */
export const Renames = Schema.Struct({
  events: Schema.optionalKey(Schema.Record(Schema.String, EventName)),
  properties: Schema.optionalKey(Schema.Record(Schema.String, Property)),
}).check(
  Schema.makeFilter(({ events = {}, properties = {} }) => {
    const field = Object.keys(properties).find((name) => !PROPERTY.test(name))
    if (field !== undefined) return `"${field}" is no property: expected properties.…`
    for (const names of [events, properties]) {
      const old = Object.keys(names).find((name) => Object.hasOwn(names, names[name]!))
      if (old === undefined) continue
      return `"${names[old]}", the new name of "${old}", is renamed itself; give every old name the latest one`
    }
    return true
  }),
)
export type Renames = typeof Renames.Type

/**
 * A metric. `filter` and `breakdown` do not apply to funnels, whose steps say it themselves, nor to formulas of other
 * metrics, which have them.
 */
export const MetricDefinition = Schema.Struct({
  name: MetricName,
  version: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1), Schema.isLessThanOrEqualTo(VERSION_MAX)),
  description: Schema.optionalKey(Schema.String),
  owner: Schema.optionalKey(Schema.String),
  frequency: Schema.optionalKey(Schema.Literals(["daily", "weekly", "monthly", "quarterly"])),
  target: Schema.optionalKey(Schema.Finite),
  tier: Schema.optionalKey(Schema.Literals(["north-star", "key-result", "input"])),
  /** The metric of the tier above that this one drives. */
  parent: Schema.optionalKey(MetricName),
  /** What the author expects of the numbers against those of the version before. */
  expect: Schema.optionalKey(Schema.Literals(["same", "different"])),
  filter: Schema.optionalKey(EventFilter),
  /** Field by whose value the numbers are told apart. */
  breakdown: Schema.optionalKey(Field),
  renamed: Schema.optionalKey(Renames),
  formula: Formula,
}).check(
  Schema.makeFilter(({ formula, filter, breakdown }) => {
    if (combines(formula) && (filter !== undefined || breakdown !== undefined)) {
      return `a ${formula.kind} has the filters and breakdowns of the metrics it is made of, none of its own`
    }
    if (formula.kind === "funnel" && filter !== undefined) return "a funnel has conditions on its steps, not a filter"
    return (
      breakdown === undefined ||
      (formula.kind !== "funnel" && formula.kind !== "sessions") ||
      `a breakdown of ${formula.kind} is not supported`
    )
  }),
)
export type MetricDefinition = typeof MetricDefinition.Type

/** A metric made of numbers that other metrics have: nothing is projected for it, it is worked out when it is asked for. */
export type FormulaMetric = MetricDefinition & { readonly formula: CombiningFormula }

function combines(formula: Formula): formula is CombiningFormula {
  return formula.kind === "ratio" || formula.kind === "sum" || formula.kind === "per-user"
}

export const isFormulaMetric = (definition: MetricDefinition): definition is FormulaMetric =>
  combines(definition.formula)

/** Whether a metric has a measure, hence facts and cells of its own. */
export const buildsMeasure = (definition: MetricDefinition): boolean => !isFormulaMetric(definition)

/** A definition in a TypeScript file: the types say what may be in it. `export default` one, or a list of them. */
export const defineMetric = (definition: MetricDefinition): MetricDefinition => definition
