import type { Event } from "../event/Event.ts"
import type { Condition, EventFilter } from "../metric/definition.ts"
import { compareCodePoints } from "./codePoints.ts"
import { type Scalar, scalarAt } from "./field.ts"

/** Whether an event is something that somebody did (docs/reference/semantics.md, Active users: "any event but identify, alias, group"). */
const isActivity = ({ kind }: Event): boolean => kind === "track" || kind === "page" || kind === "screen"

/** Whether a metric's filter takes an event: one of the names (without names: activity), and all conditions. */
export const passes = (event: Event, filter: EventFilter | undefined): boolean =>
  (filter?.events === undefined ? isActivity(event) : filter.events.includes(event.name)) &&
  allHold(event, filter?.where)

/** Whether an event is one of a funnel's step or exclusion: the name (`*`: any activity), and all conditions. */
export const isStepEvent = (
  event: Event,
  step: { readonly event: string; readonly where?: ReadonlyArray<Condition> },
): boolean => (step.event === "*" ? isActivity(event) : event.name === step.event) && allHold(event, step.where)

const allHold = (event: Event, conditions: ReadonlyArray<Condition> | undefined): boolean =>
  conditions === undefined || conditions.every((condition) => holds(event, condition))

/** One condition. What is not set is unlike everything: only the negative operators hold. */
const holds = (event: Event, condition: Condition): boolean => {
  const { op } = condition
  const found = scalarAt(event, condition.field)
  if (found === undefined) return op === "neq" || op === "not_in" || op === "is_not_set"
  if (op === "is_set") return true
  if (op === "is_not_set") return false

  const values = valuesOf(condition)
  const first = values[0]
  const text = String(found)
  if (op === "in") return values.some((value) => String(value) === text)
  if (op === "not_in") return values.every((value) => String(value) !== text)
  if (first === undefined) throw new Error("The oracle was given a condition that no metric definition may hold.")
  switch (op) {
    case "eq":
      return text === String(first)
    case "neq":
      return text !== String(first)
    case "contains":
      return text.includes(String(first))
    case "icontains":
      return text.toLowerCase().includes(String(first).toLowerCase())
    case "starts_with":
      return text.startsWith(String(first))
    case "gt":
      return compareScalars(found, first) > 0
    case "gte":
      return compareScalars(found, first) >= 0
    case "lt":
      return compareScalars(found, first) < 0
    case "lte":
      return compareScalars(found, first) <= 0
    case "between":
      return compareScalars(found, first) >= 0 && compareScalars(found, values[1]!) <= 0
  }
}

const valuesOf = ({ value }: Condition): ReadonlyArray<Scalar> =>
  value === undefined ? [] : typeof value === "object" ? value : [value]

/** As numbers when both are, else as texts by code point. */
const compareScalars = (left: Scalar, right: Scalar): number => {
  const leftNumber = numberOf(left)
  const rightNumber = numberOf(right)
  if (leftNumber === undefined || rightNumber === undefined) return compareCodePoints(String(left), String(right))
  return leftNumber < rightNumber ? -1 : leftNumber > rightNumber ? 1 : 0
}

const PLAIN_DECIMAL = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/

const numberOf = (value: Scalar): number | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined
  return typeof value === "string" && PLAIN_DECIMAL.test(value) ? Number(value) : undefined
}
