import type { Event } from "./Event.ts"
import type { Json } from "./json.ts"

/** Longest event in UTF-8 bytes of JSON, as the log holds it: two fit into one JetStream message of the default 1 MiB. */
export const EVENT_BYTES_MAX = 512 * 1024

/** Levels of nesting that an event may have: far more than any has, far fewer than overflow a stack. */
export const EVENT_DEPTH_MAX = 200

/** The most bytes that JSON needs for one UTF-16 unit of text: a control character is written as six. */
const BYTES_OF_UNIT = 6

/** What a value needs beside text, in units of that many bytes: the longest number, quotes, a colon and a comma. */
const UNITS_OF_VALUE = 5

/** A page's name and a session's id are logged twice: where they came, and where metrics look for them. */
const TIMES_LOGGED = 2

/** What a look at every part of an event comes to. */
export type Bulk = "small" | "may-be-large" | "too-deep"

/**
 * Whether an event could be too large once it is in the log, and whether it is too deep to handle. How many bytes came in
 * says neither: a byte that is no UTF-8 is logged as three, `1e20` as 21, and a column's name with every row.
 */
export const bulkOf = (raw: Json): Bulk => {
  let units = 0
  let level: ReadonlyArray<Json> = [raw]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > EVENT_DEPTH_MAX) return "too-deep"
    const below: Array<Json> = []
    for (const value of level) {
      units += UNITS_OF_VALUE
      if (typeof value === "string") units += value.length
      else if (Array.isArray(value)) for (const part of value as ReadonlyArray<Json>) below.push(part)
      else if (typeof value === "object" && value !== null) {
        for (const [key, part] of Object.entries(value)) {
          units += key.length
          below.push(part)
        }
      }
    }
    level = below
  }
  return units * BYTES_OF_UNIT * TIMES_LOGGED > EVENT_BYTES_MAX ? "may-be-large" : "small"
}

/**
 * How many bytes of JSON an event's texts and its body are in the log: of an ordinary event no more than it came in. Its
 * id is left out, which is short and may be ours.
 */
export const loggedBytes = ({ name, userId, anonymousId, sessionId, body }: Event): number => {
  let bytes = Buffer.byteLength(JSON.stringify(body))
  for (const text of [name, userId, anonymousId, sessionId]) {
    if (text !== null) bytes += Buffer.byteLength(JSON.stringify(text))
  }
  return bytes
}
