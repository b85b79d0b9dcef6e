/** A JSON value as `JSON.parse` returns it. */
export type Json = string | number | boolean | null | ReadonlyArray<Json> | JsonObject

/** A JSON object; keys such as `__proto__` are ordinary own keys, as `JSON.parse` makes them. */
export interface JsonObject {
  readonly [key: string]: Json
}

/** Whether a value is a plain JSON object (not an array, not `null`). */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Reads an own property by a dotted path, such as `properties.cart.total`. Inherited names (`constructor`,
 * `__proto__`) are absent unless the JSON itself holds them, so hostile keys find nothing.
 */
export const jsonAt = (value: Json | undefined, path: ReadonlyArray<string>): Json | undefined => {
  let here = value
  for (const key of path) {
    if (!isJsonObject(here) || !Object.hasOwn(here, key)) return undefined
    here = here[key]
  }
  return here
}
