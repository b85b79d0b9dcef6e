import { Result } from "effect"
import { isRefusedId } from "../identity/distinctId.ts"
import { parseInstant } from "../time/instant.ts"
import { TimeZone } from "../time/TimeZone.ts"
import { EVENT_KINDS, type Event, type EventKind, type EventWarning, type KnownKind, NAME_OF_KIND } from "./Event.ts"
import { FUTURE_TOLERANCE_MILLIS, resolveEventTime, type SkewPolicy } from "./eventTime.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { bulkOf, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, loggedBytes } from "./size.ts"

/** Why the door turns an event away. It goes to quarantine, whole, with the reason, and stops nothing else. */
export type RejectionReason =
  | "not-json"
  | "not-an-object"
  | "kind-unknown"
  | "name-missing"
  | "alias-incomplete"
  | "time-missing"
  | "time-unreadable"
  | "time-before-1970"
  | "time-in-future"
  | "too-large"
  | "too-deep"
  | "columns-mismatch"
  | "line-incomplete"

export interface Rejection {
  readonly reason: RejectionReason
  /** One sentence: what was found, what is expected. Never quotes the event's contents. */
  readonly detail: string
}

/** The circumstances of an arrival. */
export interface Door {
  /** Our clock, ms. */
  readonly now: number
  /**
   * `client`: just sent, so a missing or absurd time is replaced by `now` and the clock is corrected. `import`: history,
   * so times stand, and one that can't be right is a reason to reject; but a line that says when it was received is
   * corrected as it would have been then.
   */
  readonly mode: "client" | "import"
  readonly skew: SkewPolicy
  /** Zone of times that name none. */
  readonly zone: TimeZone
  /** The id of an event that brings none. */
  readonly fallbackId: () => string
}

/**
 * Where a line of exported events says what only the log knows (docs/reference/archive-format.md). It is no part of the event:
 * read back, the event is what it was.
 */
export const LOG_FIELD = "$log"

const CONSUMED: ReadonlySet<string> = new Set([
  LOG_FIELD,
  "id",
  "messageId",
  "type",
  "event",
  "userId",
  "anonymousId",
  "sessionId",
  "timestamp",
  "originalTimestamp",
  "sentAt",
  "receivedAt",
])

/**
 * Turns what arrived into an event, or says why it can't be one. Reads Tidemark's own JSON and the Segment shape
 * (`messageId`, `originalTimestamp`, …), which differ in names only. Unknown fields pass through in the body.
 */
export const admit = (raw: Json, door: Door): Result.Result<Event, Rejection> => {
  if (!isJsonObject(raw)) {
    const found = Array.isArray(raw) ? "an array" : raw === null ? "null" : `a ${typeof raw}`
    return reject("not-an-object", `Expected one JSON object with an event, found ${found}.`)
  }

  const bulk = bulkOf(raw)
  if (bulk === "too-deep") return reject("too-deep", `It is nested more than ${EVENT_DEPTH_MAX} levels deep.`)

  const kind = kindOf(raw)
  if (kind === undefined) {
    return reject("kind-unknown", `The field "type" is none of ${EVENT_KINDS.join(", ")}.`)
  }
  const name = kind === "track" ? text(raw["event"]) : NAME_OF_KIND[kind]
  if (name === undefined || name.trim() === "") {
    return reject("name-missing", `A track event needs its name in the field "event", a string that is not empty.`)
  }

  const warnings: Array<EventWarning> = []
  const userId = idOf(raw["userId"], "user-id-refused", warnings)
  const anonymousId = idOf(raw["anonymousId"], "anonymous-id-refused", warnings)
  const sessionId = idOf(raw["sessionId"] ?? sessionInContext(raw), "session-id-refused", warnings)
  if (kind === "alias" || kind === "unalias") {
    if (userId === null || idOf(raw["previousId"], "user-id-refused", []) === null) {
      return reject("alias-incomplete", `An ${kind} needs two user ids, "previousId" and "userId", that can be ids.`)
    }
  }

  const times = timesOf(raw, door, kind)
  if (Result.isFailure(times)) return Result.fail(times.failure)
  if (times.success.warning !== null) warnings.push(times.success.warning)

  if (raw["properties"] !== undefined && raw["properties"] !== null && !isJsonObject(raw["properties"])) {
    warnings.push("properties-not-an-object")
  }

  const event: Event = {
    id: eventIdOf(raw) ?? door.fallbackId(),
    kind,
    name,
    userId,
    anonymousId,
    sessionId,
    time: times.success.time,
    timestamp: times.success.timestamp,
    sentAt: times.success.sentAt,
    receivedAt: times.success.receivedAt,
    warnings,
    body: bodyOf(raw, kind),
  }
  const bytes = bulk === "small" ? 0 : loggedBytes(event)
  if (bytes > EVENT_BYTES_MAX) {
    return reject("too-large", `It has ${bytes} bytes as the log holds it, and at most ${EVENT_BYTES_MAX} fit.`)
  }
  return Result.succeed(event)
}

const reject = (reason: RejectionReason, detail: string): Result.Result<never, Rejection> =>
  Result.fail({ reason, detail })

const text = (value: Json | undefined): string | undefined => (typeof value === "string" ? value : undefined)

const kindOf = (raw: JsonObject): KnownKind | undefined => {
  const type = raw["type"]
  if (type === undefined || type === null) return "track"
  return EVENT_KINDS.find((kind) => kind === type)
}

/** Ids may be numbers in JSON; anything else that is no string is refused like the words that stand for "no id". */
const idOf = (value: Json | undefined, warning: EventWarning, warnings: Array<EventWarning>): string | null => {
  if (value === undefined || value === null) return null
  const id = idText(value)
  if (id !== undefined && !isRefusedId(id)) return id
  warnings.push(warning)
  return null
}

const sessionInContext = (raw: JsonObject): Json | undefined => {
  const context = raw["context"]
  return isJsonObject(context) && Object.hasOwn(context, "sessionId") ? context["sessionId"] : undefined
}

const EVENT_ID_BYTES_MAX = 512

/** The first of the fields that can be an event id. */
const eventIdOf = (raw: JsonObject): string | undefined =>
  [raw["id"], raw["messageId"]]
    .map(idText)
    .find((id) => id !== undefined && id.trim() !== "" && Buffer.byteLength(id) <= EVENT_ID_BYTES_MAX)

/** A string, or a number that JSON carries exactly: two ids beyond 2^53 may have become one on the way. */
const idText = (value: Json | undefined): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER
      ? String(value)
      : undefined

interface Times extends Pick<Event, "time" | "timestamp" | "sentAt" | "receivedAt"> {
  readonly warning: EventWarning | null
}

const timesOf = (raw: JsonObject, door: Door, kind: EventKind): Result.Result<Times, Rejection> => {
  const given = raw["originalTimestamp"] ?? raw["timestamp"]
  const absent = given === undefined || given === null || given === ""
  const timestamp = absent ? null : (parseInstant(given, door.zone) ?? "unreadable")
  const sentAt = parseInstant(raw["sentAt"], door.zone) ?? null
  // A client's word for when we received it counts for nothing; history's does.
  const receivedAt = door.mode === "client" ? door.now : (parseInstant(raw["receivedAt"], door.zone) ?? null)

  if (receivedAt !== null && receivedAt > door.now + FUTURE_TOLERANCE_MILLIS) {
    return reject("time-in-future", "The event says that it was received more than 24 hours from now.")
  }
  if (receivedAt !== null) {
    const resolved = resolveEventTime({ timestamp, sentAt, receivedAt }, door.skew)
    if (resolved.time < 0) return reject("time-before-1970", "The event's time is before 1970, which no log can hold.")
    return Result.succeed({
      ...resolved,
      timestamp: timestamp === "unreadable" ? null : timestamp,
      sentAt,
      receivedAt,
    })
  }

  if (timestamp === "unreadable") {
    return reject("time-unreadable", "The time is neither ISO 8601 nor seconds or milliseconds since 1970.")
  }
  if (timestamp === null) {
    // Who is whom needs no time of its own; what somebody did counts on a day, so it does.
    if (kind === "alias" || kind === "unalias") {
      return Result.succeed({ time: door.now, timestamp: null, sentAt, receivedAt: null, warning: "timestamp-missing" })
    }
    return reject("time-missing", "The event has no time, and imported history has no moment of receipt to stand in.")
  }
  if (timestamp < 0) return reject("time-before-1970", "The event's time is before 1970.")
  if (timestamp > door.now + FUTURE_TOLERANCE_MILLIS) {
    return reject("time-in-future", "The event's time is more than 24 hours after the import.")
  }
  return Result.succeed({ time: timestamp, timestamp, sentAt, receivedAt: null, warning: null })
}

/** All fields not consumed, as they came; a page's name becomes its property, where metrics look for it. */
const bodyOf = (raw: JsonObject, kind: EventKind): JsonObject => {
  const entries: Array<[string, Json]> = []
  for (const key of Object.keys(raw)) {
    if (!CONSUMED.has(key)) entries.push([key, raw[key]!])
  }
  const pageName = kind === "page" || kind === "screen" ? text(raw["name"]) : undefined
  if (pageName !== undefined) {
    const property = kind === "page" ? "page_name" : "screen_name"
    const properties = raw["properties"] ?? {}
    if (isJsonObject(properties) && !Object.hasOwn(properties, property)) {
      const at = entries.findIndex(([key]) => key === "properties")
      const named: [string, Json] = ["properties", { ...properties, [property]: pageName }]
      if (at < 0) entries.push(named)
      else entries[at] = named
    }
  }
  // fromEntries defines own properties, so a field called __proto__ stays data.
  return Object.fromEntries(entries)
}
