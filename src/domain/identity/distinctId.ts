import type { Event } from "../event/Event.ts"

/**
 * A distinct id: one identifier that a client sends, namespaced so that a user id and an anonymous id that are spelled
 * alike stay two (`u:42` and `a:42`).
 */
export type DistinctId = `u:${string}` | `a:${string}`

/** The distinct id of a user id. */
export const userDistinctId = (userId: string): DistinctId => `u:${userId}`

/** The distinct id of an anonymous id (a device). */
export const anonymousDistinctId = (anonymousId: string): DistinctId => `a:${anonymousId}`

/** Whether a distinct id is a device's. */
export const isAnonymous = (id: DistinctId): boolean => id.startsWith("a:")

/** The distinct id that an event is attributed to: its user id, else its anonymous id, else none (personless). */
export const attributedTo = (event: Pick<Event, "userId" | "anonymousId">): DistinctId | null =>
  event.userId !== null
    ? userDistinctId(event.userId)
    : event.anonymousId !== null
      ? anonymousDistinctId(event.anonymousId)
      : null

/** Longest id in UTF-8 bytes; longer ones are refused, since they are bugs or attacks and would bloat every index. */
export const ID_BYTES_MAX = 512

const REFUSED_WORDS: ReadonlySet<string> = new Set([
  "null",
  "undefined",
  "none",
  "nil",
  "true",
  "false",
  "0",
  "nan",
  "[object object]",
])

/**
 * Whether a string cannot be anyone's id (docs/reference/semantics.md, Identity): empty or white space, a word that a buggy client
 * sends in place of an id (in any case, also in quotes), or over {@link ID_BYTES_MAX} bytes. Nothing is trimmed from
 * ids that stand.
 */
export const isRefusedId = (id: string): boolean => {
  if (id.trim() === "") return true
  if (id.length > ID_BYTES_MAX || (id.length * 3 > ID_BYTES_MAX && Buffer.byteLength(id) > ID_BYTES_MAX)) return true
  if (id.length > 17) return false
  const lower = id.toLowerCase()
  if (REFUSED_WORDS.has(lower)) return true
  const quote = lower[0]
  return (
    (quote === '"' || quote === "'" || quote === "`") &&
    lower.length >= 2 &&
    lower.endsWith(quote) &&
    (lower.slice(1, -1).trim() === "" || REFUSED_WORDS.has(lower.slice(1, -1)))
  )
}

/**
 * Orders ids by code point (not by UTF-16 unit, not by locale): "the smaller user id" means this everywhere.
 */
export const compareIds = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) === b.charCodeAt(i)) continue
    // The first units that differ may be second halves of surrogate pairs, which only make a code point with the first.
    const start = i > 0 && isHighSurrogate(a.charCodeAt(i - 1)) ? i - 1 : i
    return a.codePointAt(start)! - b.codePointAt(start)! || a.codePointAt(i)! - b.codePointAt(i)!
  }
  return a.length - b.length
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
