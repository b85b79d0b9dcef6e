import type { Event } from "../../src/domain/event/Event.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import type { Condition, FunnelFormula } from "../../src/domain/metric/definition.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../src/domain/settings.ts"
import { accept } from "../support/accept.ts"
import type {
  Case,
  CaseCondition,
  CaseEvent,
  CaseStep,
  FunnelQuery,
  IdentityOperation,
  WindowFunnelQuery,
} from "./cases.ts"

/** From the words of the cases to ours. What has no counterpart throws, so that no case passes by leaving something out. */

export const settingsOf = ({ project }: Case): Settings => ({
  ...DEFAULT_SETTINGS,
  timeZone: project.timezone,
  weekStart: project.weekStart,
})

/** A case's distinct ids are user ids: no case of this kind says that one is a device. */
export const eventOf = (event: CaseEvent, more: JsonObject = {}): Event =>
  accept({
    event: event.event,
    userId: event.distinctId,
    timestamp: event.timestamp,
    ...(event.messageId === undefined ? {} : { id: event.messageId }),
    ...(event.properties === undefined ? {} : { properties: event.properties }),
    ...more,
  })

const alias = (type: "alias" | "unalias", previousId: string, userId: string, second: number): Event =>
  accept({ type, previousId, userId, timestamp: new Date(Date.UTC(2099, 0, 1) + second * 1000).toISOString() })

/** People of several ids: aliases that were there before anything happened. */
export const peopleOf = ({ people = {} }: Case): ReadonlyArray<Event> =>
  Object.values(people).flatMap(({ distinctIds: [first, ...others] }) =>
    others.map((other, n) => alias("alias", first!, other, n)),
  )

/**
 * A merge is an alias. An id that is assigned again leaves the person it was assigned to before: that alias is taken
 * back.
 */
export const identityOf = ({ identity = [] }: Case): ReadonlyArray<Event> => {
  const assigned = new Map<string, string>()
  return identity.flatMap((operation: IdentityOperation, n) => {
    if (operation.op === "merge") return [alias("alias", operation.from, operation.into, n)]
    const { distinctId, toPersonOf } = operation
    const before = assigned.get(distinctId)
    assigned.set(distinctId, toPersonOf)
    return [
      ...(before === undefined ? [] : [alias("unalias", distinctId, before, n)]),
      alias("alias", distinctId, toPersonOf, n),
    ]
  })
}

const conditionOf = ({ scope, property, op, values }: CaseCondition): Condition => {
  if (scope !== "event") throw new Error(`conditions on ${scope} are not supported`)
  const field = `properties.${property}`
  const one = values.length === 1
  switch (op) {
    case "eq":
      return one ? { field, op: "eq", value: values[0]! } : { field, op: "in", value: values }
    case "neq":
      return one ? { field, op: "neq", value: values[0]! } : { field, op: "not_in", value: values }
    case "icontains":
      if (one) return { field, op: "icontains", value: values[0]! }
  }
  throw new Error(`no operator for ${op} of ${values.length} values`)
}

const stepOf = (step: CaseStep) => {
  const { event, where, ...rest } = step
  const unknown = Object.keys(rest).filter((key) => key !== "fromStep" && key !== "toStep")
  if (unknown.length > 0) throw new Error(`a step has ${unknown.join(", ")}`)
  return { event, ...(where === undefined ? {} : { where: where.map(conditionOf) }) }
}

const UNITS: Readonly<Record<string, string>> = { second: "s", minute: "m", hour: "h", day: "d", week: "w" }

const POLICIES: Readonly<Record<string, Readonly<Record<string, Partial<FunnelFormula>>>>> = {
  reentry: { "first-entry-only": { reentry: "first-entry-only" } },
  exclusionInOrdered: { "remove-person": { exclusionPolicy: "remove-person" } },
  graceSeconds: { "0": { grace: "0s" }, "2": { grace: "2s" } },
  // What semantics.md always does.
  tie: { "any-permutation": {} },
}

/** The options that a case's policies stand for. */
const optionsOf = ({ policy = {} }: Case): Partial<FunnelFormula> =>
  Object.entries(policy).reduce<Partial<FunnelFormula>>((options, [name, value]) => {
    const option = POLICIES[name]?.[String(value)]
    if (option === undefined) throw new Error(`no option for policy ${name}: ${value}`)
    return { ...options, ...option }
  }, {})

const QUERY_FIELDS = new Set([
  ...["kind", "order", "steps", "window", "unit", "range", "exclusions"],
  // Said again as a policy, or the only way that we count.
  ...["counting", "reentry", "graceSeconds"],
])

export const funnelOf = (given: Case, query: FunnelQuery): FunnelFormula => {
  const unknown = Object.keys(query).filter((key) => !QUERY_FIELDS.has(key))
  if (unknown.length > 0) throw new Error(`the query has ${unknown.join(", ")}`)
  if (query.order !== "ordered" || query.unit !== "person" || (query.counting ?? "uniques") !== "uniques") {
    throw new Error(`no funnel of order ${query.order}, unit ${query.unit}, counting ${query.counting}`)
  }
  const unit = UNITS[query.window.unit]
  if (unit === undefined) throw new Error(`no window in ${query.window.unit}`)
  return {
    kind: "funnel",
    steps: query.steps.map(stepOf),
    window: `${query.window.value}${unit}`,
    ...(query.exclusions === undefined
      ? {}
      : {
          exclusions: query.exclusions.map((exclusion) => ({
            ...stepOf(exclusion),
            fromStep: exclusion.fromStep + 1,
            toStep: exclusion.toStep + 1,
          })),
        }),
    ...optionsOf(given),
  }
}

/** Beyond this many seconds a window has no end: no two instants are so far apart. */
const WINDOW_SECONDS_MAX = (2 * 8.64e15) / 1000

/**
 * `windowFunnel` of ClickHouse in its default mode is our funnel. `allow_reentry` by itself, without `strict_order`,
 * asks that a later entry may convert, which is reentry best-entry.
 */
export const windowFunnelOf = ({ modes, steps, window }: WindowFunnelQuery): FunnelFormula => {
  if (modes.some((mode) => mode !== "allow_reentry")) throw new Error(`no option for modes ${modes.join(", ")}`)
  return {
    kind: "funnel",
    steps: steps.map((event) => ({ event: String(event) })),
    window: window > WINDOW_SECONDS_MAX ? "none" : `${window}s`,
    reentry: "best-entry",
  }
}
