import fc from "fast-check"
import type { Json, JsonObject } from "../../../src/domain/event/json.ts"

/** Small pieces that all generators are made of. */

/** An object whose keys are all its own, `__proto__` too, as `JSON.parse` makes them. */
export const object = (entries: ReadonlyArray<readonly [string, Json]>): JsonObject => Object.fromEntries(entries)

/** Plain objects, as all data of ours are, optional keys absent. */
export const record = <T, K extends keyof T = keyof T>(
  model: { [Key in keyof T]: fc.Arbitrary<T[Key]> },
  constraints?: { requiredKeys: Array<K> },
) => fc.record<T, K>(model, { ...constraints, noNullPrototype: true })

export const pick = <T>(values: ReadonlyArray<T>): fc.Arbitrary<T> => fc.constantFrom(...values)
