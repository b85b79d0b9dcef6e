import fc from "fast-check"
import {
  type Event,
  EVENT_KINDS,
  EVENT_WARNINGS,
  type EventKind,
  isKnownKind,
} from "../../../src/domain/event/Event.ts"
import type { Json, JsonObject } from "../../../src/domain/event/json.ts"
import { isRefusedId } from "../../../src/domain/identity/distinctId.ts"
import { nameOf, TRACK_NAMES } from "./names.ts"
import { object, pick, record } from "./plain.ts"

/** Generators of single events of any shape that the log may hold: any text, number, key and instant. */

/** Any text: every plane of Unicode, controls, lone surrogates, line separators, what JSON escapes. */
const arbText = (constraints: { minLength?: number; maxLength: number }): fc.Arbitrary<string> =>
  fc.string({
    ...constraints,
    unit: fc.oneof(
      { arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }), weight: 4 },
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
      pick([
        "\ud800",
        "\udfff",
        "\udbff\udfff",
        "\u0000",
        "\n",
        "\r",
        "\u2028",
        "\u2029",
        '"',
        "\\",
        "\ufeff",
        "\uffff",
      ]),
    ),
  })

const arbId = arbText({ minLength: 1, maxLength: 12 }).filter((id) => !isRefusedId(id))

/** Any finite number but −0, which JSON cannot spell. */
const arbNumber = fc
  .oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    pick([0, 5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 0.1, 1e21, 2 ** 53, 1e-7]),
  )
  .map((value) => (value === 0 ? 0 : value))

/**
 * Keys of objects: any text that JSON does not begin with an escape. V8 (Node 24) may read such a key as another one that it
 * has read before at the same place of an object, which says nothing of the codec (docs/explanation/limits.md).
 */
const arbKey = arbText({ maxLength: 6 }).filter((key) => !JSON.stringify(key).startsWith('"\\'))

const { json: arbJson } = fc.letrec<{ json: Json; object: JsonObject }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    fc.constant(null),
    fc.boolean(),
    arbNumber,
    arbText({ maxLength: 8 }),
    pick(["", "constructor", "__proto__"]),
    fc.array(tie("json"), { maxLength: 4 }),
    tie("object"),
  ),
  object: fc
    .array(fc.tuple(fc.oneof(arbKey, pick(["__proto__", "constructor", "toString", ""])), tie("json")), {
      maxLength: 4,
    })
    .map(object),
}))

const arbFreeBody: fc.Arbitrary<JsonObject> = fc
  .array(
    fc.tuple(fc.oneof(pick(["properties", "context", "traits", "groupId", "__proto__", "length"]), arbKey), arbJson),
    { maxLength: 5 },
  )
  .map(object)

/** The latest instant that ECMAScript dates can hold. */
const INSTANT_MAX = 8.64e15

const arbInstant = fc.oneof(
  {
    arbitrary: fc.integer({ min: Date.parse("2024-01-01T00:00:00Z"), max: Date.parse("2026-01-01T00:00:00Z") }),
    weight: 4,
  },
  fc.integer({ min: 0, max: INSTANT_MAX }),
  pick([0, 1, INSTANT_MAX]),
)

const arbReportedInstant = fc.option(fc.oneof(arbInstant, fc.integer({ min: -INSTANT_MAX, max: INSTANT_MAX })))

/** An entry of a numbered list of the log that only a newer version knows. */
const arbUnknown = fc.integer({ min: 7, max: 99 }).map((number) => `unknown(${number})` as const)

const arbKind: fc.Arbitrary<EventKind> = fc.oneof(
  { arbitrary: pick(EVENT_KINDS), weight: 7 },
  { arbitrary: arbUnknown, weight: 1 },
)

/** Any event that the log may hold, for whatever has to carry events unchanged. */
export const arbEvent: fc.Arbitrary<Event> = arbKind.chain((kind) => {
  const isAlias = kind === "alias" || kind === "unalias"
  return record({
    id: arbText({ minLength: 1, maxLength: 20 }).filter((id) => id.trim() !== ""),
    kind: fc.constant(kind),
    name:
      kind === "track" || !isKnownKind(kind)
        ? fc.oneof(
            pick(TRACK_NAMES),
            arbText({ minLength: 1, maxLength: 12 }).filter((name) => name.trim() !== ""),
          )
        : fc.constant(nameOf(kind, "")),
    userId: isAlias ? arbId : fc.option(arbId),
    anonymousId: fc.option(arbId),
    sessionId: fc.option(arbId),
    time: arbInstant,
    timestamp: arbReportedInstant,
    sentAt: arbReportedInstant,
    receivedAt: arbReportedInstant,
    warnings: fc.subarray([...EVENT_WARNINGS, "unknown(7)" as const, "unknown(12)" as const]),
    body: isAlias
      ? fc.tuple(arbFreeBody, arbId).map(([body, id]) => object([...Object.entries(body), ["previousId", id]]))
      : arbFreeBody,
  })
})
