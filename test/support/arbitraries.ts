import fc from "fast-check"
import {
  type Event,
  EVENT_KINDS,
  EVENT_WARNINGS,
  type EventKind,
  isKnownKind,
  NAME_OF_KIND,
} from "../../src/domain/event/Event.ts"
import type { Json, JsonObject } from "../../src/domain/event/json.ts"
import { isRefusedId } from "../../src/domain/identity/distinctId.ts"
import type {
  Condition,
  EventFilter,
  FunnelExclusion,
  FunnelFormula,
  FunnelStep,
  MetricDefinition,
  Renames,
} from "../../src/domain/metric/definition.ts"
import { OPERATORS } from "../../src/domain/metric/definition.ts"
import type { Settings } from "../../src/domain/settings.ts"

/**
 * Generators of whole event histories that go where the rules are thin: ties, midnights, clock changes, borders of
 * windows, shared devices, joins taken back. Few ids, names and values, so that events collide.
 */

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const DEFAULT_MERGE_WINDOW = 30 * DAY

/** Zones with the instants around which their histories happen: midnights and clock changes. */
const ANCHORS: Readonly<Record<string, ReadonlyArray<number>>> = {
  UTC: ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "2024-12-31T12:00:00Z", "2025-01-01T00:00:00Z"].map(Date.parse),
  "Europe/Berlin": [
    // 2024-03-31 has 23 hours, 2024-10-27 has 25.
    "2024-03-30T23:00:00Z",
    "2024-03-31T01:00:00Z",
    "2024-03-31T22:00:00Z",
    "2024-10-26T22:00:00Z",
    "2024-10-27T01:00:00Z",
    "2024-10-27T23:00:00Z",
  ].map(Date.parse),
  "America/New_York": [
    // 2024-03-10 has 23 hours, 2024-11-03 has 25.
    "2024-03-10T05:00:00Z",
    "2024-03-10T07:00:00Z",
    "2024-03-11T04:00:00Z",
    "2024-11-03T04:00:00Z",
    "2024-11-03T06:00:00Z",
    "2024-11-04T05:00:00Z",
  ].map(Date.parse),
  "Pacific/Apia": [
    // 2011-12-30 does not exist; the clock went from UTC−10 to UTC+14 at its midnight. Then summer time ended.
    "2011-12-29T10:00:00Z",
    "2011-12-30T10:00:00Z",
    "2011-12-31T10:00:00Z",
    "2012-03-31T14:00:00Z",
  ].map(Date.parse),
}

/** Durations of metrics; histories place events exactly at the ends of the same ones. */
const WINDOWS = ["0s", "10ms", "30m", "1h", "1d", "14d", "14d"] as const
const GAPS = ["10ms", "30m", "1h"] as const
const GRACES = ["0s", "1ms", "10ms", "30m"] as const
const BORDERS = [0, 10, 30 * MINUTE, HOUR, DAY, 14 * DAY]

/** 😀 is the greater by code point, \uff5e by UTF-16 unit; `ann` is also a device; `__proto__` is a legal name. */
const USERS = ["ann", "bob", "cid", "😀", "\uff5e", "__proto__"]
const DEVICES = ["d1", "d2", "ann", "__proto__", "gerät"]
const SESSIONS = ["s1", "s2", "__proto__"]
const TRACK_NAMES = ["click", "feature_used", "purchase", "page_view", "sign_up", "identify", "constructor"]
/** Funnels are made of these, so histories are mostly too. */
const STEP_NAMES = ["click", "feature_used", "purchase", "page_view"]
const FEATURES: ReadonlyArray<Json> = [
  "export",
  "import",
  "ünï😀",
  "__proto__",
  "",
  7,
  "7",
  true,
  null,
  { x: 1 },
  ["export"],
]
const URLS: ReadonlyArray<Json> = ["/", "/a", "/b", "/\uff5e", "/😀", 404, null]
const AMOUNTS: ReadonlyArray<Json> = [
  0,
  0.1,
  0.2,
  0.7,
  -0.1,
  1.005,
  19.99,
  1e21,
  1e-7,
  5e-324,
  10,
  "10",
  "1e1",
  null,
  true,
]
const CURRENCIES: ReadonlyArray<Json> = ["EUR", "USD", "", null]

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

/** An object whose keys are all its own, `__proto__` too, as `JSON.parse` makes them. */
const object = (entries: ReadonlyArray<readonly [string, Json]>): JsonObject => Object.fromEntries(entries)

/** Plain objects, as all data of ours are, optional keys absent. */
const record = <T, K extends keyof T = keyof T>(
  model: { [Key in keyof T]: fc.Arbitrary<T[Key]> },
  constraints?: { requiredKeys: Array<K> },
) => fc.record<T, K>(model, { ...constraints, noNullPrototype: true })

const pick = <T>(values: ReadonlyArray<T>): fc.Arbitrary<T> => fc.constantFrom(...values)

const optionalEntry = (key: string, value: fc.Arbitrary<Json>): fc.Arbitrary<ReadonlyArray<readonly [string, Json]>> =>
  fc.option(value, { nil: undefined }).map((chosen) => (chosen === undefined ? [] : [[key, chosen] as const]))

const arbProperties: fc.Arbitrary<JsonObject> = fc
  .tuple(
    optionalEntry("feature_name", pick(FEATURES)),
    optionalEntry("url", pick(URLS)),
    optionalEntry("path", pick(URLS)),
    optionalEntry("amount", pick(AMOUNTS)),
    optionalEntry("currency", pick(CURRENCIES)),
    optionalEntry(
      "cart",
      pick<Json>([{ total: 3 }, { total: "3", items: [{ total: 1 }] }, [{ total: 3 }], { total: null }, "cart"]),
    ),
    optionalEntry("__proto__", pick<Json>([{ polluted: "yes" }, "plain", { feature_name: "export" }])),
  )
  .map((groups) => object(groups.flat()))

const arbBody: fc.Arbitrary<JsonObject> = fc
  .tuple(
    optionalEntry("properties", fc.oneof({ arbitrary: arbProperties, weight: 9 }, pick<Json>([null, "text", []]))),
    optionalEntry("context", pick<Json>([{ os: { name: "Linux" } }, { os: { name: "😀" } }, {}])),
    optionalEntry("traits", pick<Json>([{ plan: "pro" }, { plan: null }])),
  )
  .map((groups) => object(groups.flat()))

/** When something happened: near an anchor, or at a border's distance from an earlier event. */
type When =
  | { readonly from: "anchor"; readonly anchor: number; readonly millis: number }
  | { readonly from: "event"; readonly index: number; readonly millis: number }

const arbNudge = fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, pick([-1, 1]), fc.integer({ min: -20, max: 20 }))

const arbBorderDistance = (mergeWindow: number): fc.Arbitrary<number> =>
  fc
    .tuple(pick([...BORDERS, mergeWindow]), pick([1, 1, -1]), arbNudge)
    .map(([border, sign, nudge]) => sign * border + nudge)

const arbWhen = (mergeWindow: number): fc.Arbitrary<When> =>
  fc.oneof(
    record({
      from: fc.constant("anchor" as const),
      anchor: fc.nat(99),
      millis: fc
        .tuple(pick([0, 0, -1, 1, HOUR, -HOUR, 90 * MINUTE, DAY, -DAY]), arbNudge)
        .map(([distance, nudge]) => distance + nudge),
    }),
    record({
      from: fc.constant("event" as const),
      index: fc.nat(999),
      millis: arbBorderDistance(mergeWindow),
    }),
  )

interface Deed {
  readonly what: "event"
  readonly when: When
  readonly kind: EventKind
  readonly trackName: string
  readonly ids: readonly [userId: string | null, anonymousId: string | null]
  readonly aliasIds: readonly [userId: string, previousId: string]
  readonly sessionId: string | null
  readonly body: JsonObject
}

/** What a history is made of, one after another in order of arrival. Refers back by index, so that shrinking works. */
type Recipe =
  | Deed
  /** An anonymous event at the border of the merge window of an earlier link. */
  | { readonly what: "at-merge-window"; readonly link: number; readonly nudge: number; readonly deed: Deed }
  /** The same event once more, as a client's retry. */
  | { readonly what: "repeat"; readonly index: number }
  /** Another event under an id that was used before. */
  | { readonly what: "conflict"; readonly index: number; readonly deed: Deed }

/** Who takes part in a history: few, so that their deeds meet. */
interface Cast {
  readonly users: ReadonlyArray<string>
  readonly devices: ReadonlyArray<string>
}

const arbCast: fc.Arbitrary<Cast> = record({
  users: fc.uniqueArray(pick(USERS), { minLength: 2, maxLength: 4 }),
  devices: fc.uniqueArray(pick(DEVICES), { minLength: 1, maxLength: 3 }),
})

const arbDeed = (mergeWindow: number, { users, devices }: Cast): fc.Arbitrary<Deed> =>
  record({
    what: fc.constant("event" as const),
    when: arbWhen(mergeWindow),
    kind: fc.oneof(
      { arbitrary: fc.constant("track" as const), weight: 10 },
      { arbitrary: pick(["page", "screen"] as const), weight: 3 },
      { arbitrary: fc.constant("identify" as const), weight: 2 },
      { arbitrary: pick(["alias", "alias", "unalias", "group"] as const), weight: 2 },
      { arbitrary: fc.constant("unknown(7)" as const), weight: 1 },
    ),
    trackName: fc.oneof({ arbitrary: pick(STEP_NAMES), weight: 3 }, pick(TRACK_NAMES)),
    ids: fc.oneof(
      { arbitrary: fc.tuple(fc.constant(null), pick(devices)), weight: 5 },
      { arbitrary: fc.tuple(pick(users), fc.constant(null)), weight: 3 },
      { arbitrary: fc.tuple(pick(users), pick(devices)), weight: 3 },
      { arbitrary: fc.tuple(fc.constant(null), fc.constant(null)), weight: 1 },
    ),
    aliasIds: fc.tuple(pick(users), pick(users)),
    sessionId: fc.oneof({ arbitrary: fc.constant(null), weight: 3 }, { arbitrary: pick(SESSIONS), weight: 1 }),
    body: arbBody,
  })

const arbRecipe = (mergeWindow: number, cast: Cast, conflicts: boolean): fc.Arbitrary<Recipe> => {
  const deed = arbDeed(mergeWindow, cast)
  return fc.oneof(
    { arbitrary: deed, weight: 12 },
    {
      arbitrary: record({
        what: fc.constant("at-merge-window" as const),
        link: fc.nat(99),
        nudge: pick([-1, 0, 1]),
        deed,
      }),
      weight: 2,
    },
    { arbitrary: record({ what: fc.constant("repeat" as const), index: fc.nat(999) }), weight: 2 },
    {
      arbitrary: record({ what: fc.constant("conflict" as const), index: fc.nat(999), deed }),
      weight: conflicts ? 2 : 0,
    },
  )
}

const nameOf = (kind: EventKind, trackName: string): string =>
  kind in NAME_OF_KIND ? NAME_OF_KIND[kind as keyof typeof NAME_OF_KIND] : trackName

const eventOf = (deed: Deed, id: string, time: number): Event => {
  const isAlias = deed.kind === "alias" || deed.kind === "unalias"
  return {
    id,
    kind: deed.kind,
    name: nameOf(deed.kind, deed.trackName),
    userId: isAlias ? deed.aliasIds[0] : deed.ids[0],
    anonymousId: deed.ids[1],
    sessionId: deed.sessionId,
    time,
    timestamp: time,
    sentAt: null,
    receivedAt: null,
    warnings: [],
    body: isAlias ? object([...Object.entries(deed.body), ["previousId", deed.aliasIds[1]]]) : deed.body,
  }
}

const play = (recipes: ReadonlyArray<Recipe>, anchors: ReadonlyArray<number>, mergeWindow: number): Array<Event> => {
  const events: Array<Event> = []
  const timeOf = (when: When): number => {
    const origin =
      when.from === "event" && events.length > 0
        ? events[when.index % events.length]!.time
        : anchors[(when.from === "event" ? when.index : when.anchor) % anchors.length]!
    return origin + when.millis
  }
  for (const recipe of recipes) {
    const id = `e${events.length}`
    switch (recipe.what) {
      case "event":
        events.push(eventOf(recipe, id, timeOf(recipe.when)))
        break
      case "at-merge-window": {
        const links = events.filter(({ userId, anonymousId }) => userId !== null && anonymousId !== null)
        const link = links[recipe.link % Math.max(links.length, 1)]
        if (link === undefined) break
        const { anonymousId, time } = link
        const kind = recipe.deed.kind === "alias" || recipe.deed.kind === "unalias" ? "track" : recipe.deed.kind
        const deed: Deed = { ...recipe.deed, kind, ids: [null, anonymousId] }
        events.push(eventOf(deed, id, time - mergeWindow + recipe.nudge))
        break
      }
      case "repeat": {
        const original = events[recipe.index % Math.max(events.length, 1)]
        if (original !== undefined) events.push(original)
        break
      }
      case "conflict": {
        const original = events[recipe.index % Math.max(events.length, 1)]
        if (original !== undefined) events.push(eventOf(recipe.deed, original.id, timeOf(recipe.deed.when)))
        break
      }
    }
  }
  return events
}

export interface HistoryOptions {
  /** Most events; default 40. */
  readonly maxLength?: number
  /** Whether ids may come again with other content; default not, so that the set of events is a plain set. */
  readonly conflicts?: boolean
  readonly timeZone?: "UTC" | "Europe/Berlin" | "America/New_York" | "Pacific/Apia"
  /** Default: 30 days mostly, else 1 day, 0 or no limit. */
  readonly mergeWindowMillis?: number | null
  /** Default: 7 days, 1 hour or for ever. */
  readonly dedupeHorizonMillis?: number | null
}

export interface History {
  /** In order of arrival, which is not the order of time. */
  readonly events: Array<Event>
  readonly settings: Settings
}

const arbSettings = (options: HistoryOptions): fc.Arbitrary<Settings> =>
  record({
    timeZone: options.timeZone === undefined ? pick(Object.keys(ANCHORS)) : fc.constant(options.timeZone),
    weekStart: pick(["monday", "sunday"] as const),
    mergeWindowMillis:
      options.mergeWindowMillis === undefined
        ? fc.oneof({ arbitrary: fc.constant(DEFAULT_MERGE_WINDOW), weight: 4 }, pick([DAY, 0, null]))
        : fc.constant(options.mergeWindowMillis),
    dedupeHorizonMillis:
      options.dedupeHorizonMillis === undefined
        ? pick([7 * DAY, HOUR, null])
        : fc.constant(options.dedupeHorizonMillis),
  })

/** A history of events with the settings of its project. */
export const arbHistory = (options: HistoryOptions = {}): fc.Arbitrary<History> =>
  fc.tuple(arbSettings(options), arbCast).chain(([settings, cast]) => {
    const mergeWindow = settings.mergeWindowMillis ?? DEFAULT_MERGE_WINDOW
    return fc
      .array(arbRecipe(mergeWindow, cast, options.conflicts ?? false), {
        minLength: 1,
        maxLength: options.maxLength ?? 40,
        size: "max",
      })
      .map((recipes) => ({ events: play(recipes, ANCHORS[settings.timeZone]!, mergeWindow), settings }))
  })

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
