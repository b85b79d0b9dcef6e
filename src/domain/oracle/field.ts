import type { Event } from "../event/Event.ts"
import type { Json, JsonObject } from "../event/json.ts"
import type { SeenEvent } from "./renames.ts"

/** A value that is "set"; null, absent, objects and arrays are not. */
export type Scalar = string | number | boolean

/** The value of a field as metric definitions name it, or `undefined` when it is not set, under any name it had. */
export const scalarAt = (event: SeenEvent, field: string): Scalar | undefined => {
  const names = [field, ...(event.formerNames?.get(field) ?? [])]
  return names.map((name) => valueAt(event, name)).find(isScalar)
}

const isScalar = (value: Json | undefined): value is Scalar =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"

const valueAt = (event: Event, field: string): Json | undefined => {
  switch (field) {
    case "event":
      return event.name
    case "kind":
      return event.kind
    case "userId":
      return event.userId
    case "anonymousId":
      return event.anonymousId
    case "sessionId":
      return event.sessionId
    default:
      return ownValueAt(event.body, field.split("."))
  }
}

/** Only own properties of objects count: `__proto__` and `constructor` are what the JSON says, or nothing. */
const ownValueAt = (body: JsonObject, path: ReadonlyArray<string>): Json | undefined => {
  let value: Json = body
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) {
      return undefined
    }
    value = (value as JsonObject)[key]!
  }
  return value
}
