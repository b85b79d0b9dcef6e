import { type Event, type EventKind, isActivity } from "../event/Event.ts"
import { type Json, jsonAt } from "../event/json.ts"
import { compareIds } from "../identity/distinctId.ts"
import { boundedItem } from "./boundedItem.ts"
import type { Condition, EventFilter, Renames } from "./definition.ts"

/** What filters and measures see of an event. `body` may be parsed on first use, so ask for it last. */
export type ObservedEvent = Pick<
  Event,
  "name" | "kind" | "userId" | "anonymousId" | "sessionId" | "time" | "receivedAt" | "body"
>

/** Reads one field of an event; `undefined` when it isn't set (absent, `null`, or no scalar). */
export type FieldReader = (event: ObservedEvent) => string | number | boolean | undefined

const scalar = (value: Json | undefined): string | number | boolean | undefined =>
  value === null || typeof value === "object" ? undefined : value

/** The latest name of an event. */
export const latestName = (name: string, { events = {} }: Renames = {}): string =>
  Object.hasOwn(events, name) ? events[name]! : name

/** What a field was called before, in order: of several that are set the first counts. */
const formerFields = (field: string, { properties = {} }: Renames): ReadonlyArray<string> =>
  Object.keys(properties)
    .filter((old) => properties[old] === field)
    .sort(compareIds)

/** The reader of a field name as definitions spell it. Where it is not set, what it was called before is read. */
export const fieldReader = (field: string, renamed: Renames = {}): FieldReader => {
  switch (field) {
    case "event":
      return (event) => latestName(event.name, renamed)
    case "kind":
      return (event) => event.kind
    case "userId":
      return (event) => event.userId ?? undefined
    case "anonymousId":
      return (event) => event.anonymousId ?? undefined
    case "sessionId":
      return (event) => event.sessionId ?? undefined
    default: {
      const paths = [field, ...formerFields(field, renamed)].map((name) => name.split("."))
      return (event) => {
        for (const path of paths) {
          const value = scalar(jsonAt(event.body, path))
          if (value !== undefined) return value
        }
        return undefined
      }
    }
  }
}

const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const asNumber = (value: string | number | boolean): number | undefined =>
  typeof value === "number" ? value : typeof value === "string" && DECIMAL.test(value) ? Number(value) : undefined

/** Orders two scalars: as numbers when both are (also spelled as text), else as strings by code point. */
const compareScalars = (a: string | number | boolean, b: string | number | boolean): number => {
  const x = asNumber(a)
  const y = asNumber(b)
  return x !== undefined && y !== undefined ? x - y : compareIds(String(a), String(b))
}

type Scalar = string | number | boolean

const compileCondition = (condition: Condition, renamed: Renames): ((event: ObservedEvent) => boolean) => {
  const read = fieldReader(condition.field, renamed)
  const values = (Array.isArray(condition.value) ? condition.value : [condition.value]) as ReadonlyArray<Scalar>
  const texts = values.map(String)
  const text = texts[0]!
  const lower = text.toLowerCase()
  const among = new Set(texts)
  const test =
    (accept: (value: Scalar) => boolean, unset = false) =>
    (event: ObservedEvent) => {
      const value = read(event)
      return value === undefined ? unset : accept(value)
    }
  switch (condition.op) {
    case "eq":
      return test((value) => String(value) === text)
    case "neq":
      return test((value) => String(value) !== text, true)
    case "in":
      return test((value) => among.has(String(value)))
    case "not_in":
      return test((value) => !among.has(String(value)), true)
    case "contains":
      return test((value) => String(value).includes(text))
    case "icontains":
      return test((value) => String(value).toLowerCase().includes(lower))
    case "starts_with":
      return test((value) => String(value).startsWith(text))
    case "gt":
      return test((value) => compareScalars(value, values[0]!) > 0)
    case "gte":
      return test((value) => compareScalars(value, values[0]!) >= 0)
    case "lt":
      return test((value) => compareScalars(value, values[0]!) < 0)
    case "lte":
      return test((value) => compareScalars(value, values[0]!) <= 0)
    case "between":
      return test((value) => compareScalars(value, values[0]!) >= 0 && compareScalars(value, values[1]!) <= 0)
    case "is_set":
      return test(() => true)
    case "is_not_set":
      return test(() => false, true)
  }
}

/** A filter ready to run: first by name and kind, which cost nothing, then by conditions. */
export interface CompiledFilter {
  readonly named: (name: string, kind: EventKind) => boolean
  /** Only for events that `named` lets through. */
  readonly holds: (event: ObservedEvent) => boolean
}

/** Compiles a filter; without `events` it means all activity. */
export const compileFilter = (filter: EventFilter, renamed: Renames = {}): CompiledFilter => {
  const conditions = (filter.where ?? []).map((condition) => compileCondition(condition, renamed))
  const names = filter.events === undefined ? null : new Set(filter.events)
  return {
    named: (name, kind) => (names === null ? isActivity(kind) : names.has(latestName(name, renamed))),
    holds: (event) => conditions.every((holds) => holds(event)),
  }
}

/** Page fields in the order they are looked for. */
const PAGE_FIELDS = ["properties.path", "properties.url", "properties.page_name", "properties.screen_name"]

/**
 * Reads the page that an event shows; `undefined` when it shows none (docs/reference/semantics.md, Sessions: entry and exit
 * page).
 */
export const pageReader = (renamed: Renames = {}): ((event: ObservedEvent) => string | undefined) => {
  const fields = PAGE_FIELDS.map((field) => fieldReader(field, renamed))
  return (event) => {
    const name = latestName(event.name, renamed)
    const shows = event.kind === "page" || event.kind === "screen" || name === "page_view" || name === "screen_view"
    if (!shows) return undefined
    for (const read of fields) {
      const page = read(event)
      if (page !== undefined) return boundedItem(String(page))
    }
    return undefined
  }
}
