import { Effect, Redacted, Result } from "effect"
import { BadConfiguration } from "./errors.ts"
import { type Key, type KeyKind, KEYS } from "./keys.ts"
import type { Given } from "./sources.ts"

/** What a key of a kind is read as. */
type ValueOf<K extends KeyKind> = K extends { readonly kind: "secret" }
  ? Redacted.Redacted
  : K extends { readonly kind: "whole" | "bytes" }
    ? number
    : K extends { readonly kind: "choice"; readonly of: ReadonlyArray<infer A> }
      ? A
      : string

/** The keys that were given, read. */
export type Values = { readonly [K in Key]?: ValueOf<(typeof KEYS)[K]> }

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

const readBytes = (text: string): number | null => {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)\s*([A-Za-z]*)$/.exec(text)
  const unit = UNITS[match?.[2] ?? "none"]
  return match === null || unit === undefined ? null : Math.round(Number(match[1]) * unit)
}

/** The value, or what it must be. */
const read = (kind: KeyKind, text: string): Result.Result<unknown, string> => {
  switch (kind.kind) {
    case "text":
      return Result.succeed(text)
    case "secret":
      return Result.succeed(Redacted.make(text))
    case "whole": {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
      return value >= kind.from && value <= kind.to
        ? Result.succeed(value)
        : Result.fail(`a whole number from ${kind.from} to ${kind.to}`)
    }
    case "bytes": {
      const value = readBytes(text)
      return value === null ? Result.fail("a size such as 1GiB, 512MiB or a number of bytes") : Result.succeed(value)
    }
    case "url":
      return /^https?:$/.test(URL.parse(text)?.protocol ?? "")
        ? Result.succeed(text)
        : Result.fail("an address such as http://localhost:4318")
    case "choice":
      return kind.of.includes(text) ? Result.succeed(text) : Result.fail(`one of ${kind.of.join(", ")}`)
  }
}

/** Reads every value that was given. */
export const readValues = (given: ReadonlyMap<Key, Given>): Effect.Effect<Values, BadConfiguration> =>
  Effect.gen(function* () {
    const values: { [K in Key]?: unknown } = {}
    for (const [key, { text, place }] of given) {
      values[key] = yield* Effect.fromResult(
        Result.mapError(
          read(KEYS[key], text.trim()),
          (needed) => new BadConfiguration({ place, problem: `must be ${needed}` }),
        ),
      )
    }
    return values as Values
  })
