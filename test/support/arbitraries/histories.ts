import fc from "fast-check"
import type { Event, EventKind } from "../../../src/domain/event/Event.ts"
import type { Json, JsonObject } from "../../../src/domain/event/json.ts"
import type { Settings } from "../../../src/domain/settings.ts"
import { nameOf, STEP_NAMES, TRACK_NAMES } from "./names.ts"
import { object, pick, record } from "./plain.ts"

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

/** The same durations as those of metrics: events are placed exactly at their ends. */
const BORDERS = [0, 10, 30 * MINUTE, HOUR, DAY, 14 * DAY]

/** 😀 is the greater by code point, \uff5e by UTF-16 unit; `ann` is also a device; `__proto__` is a legal name. */
const USERS = ["ann", "bob", "cid", "😀", "\uff5e", "__proto__"]
const DEVICES = ["d1", "d2", "ann", "__proto__", "gerät"]
const SESSIONS = ["s1", "s2", "__proto__"]

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
