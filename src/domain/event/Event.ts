import type { JsonObject } from "./json.ts"
import type { Unknown } from "./numbered.ts"

/**
 * What a client reported. `unalias` takes an earlier `alias` back (docs/explanation/identity.md); all others are the six calls that
 * product-analytics clients share.
 *
 * A storage contract: the order of this list is the number written to the log. Append, never reorder.
 */
export const EVENT_KINDS = ["track", "page", "screen", "identify", "alias", "group", "unalias"] as const

/** A kind that this version knows the meaning of. */
export type KnownKind = (typeof EVENT_KINDS)[number]

/** The kind of a logged event; `unknown(7)`: one that only a newer version knows. */
export type EventKind = KnownKind | Unknown

/**
 * Names of the standard events. Any other name is as good: these are the ones that the typed helpers write and the
 * built-in metrics know.
 */
export const STANDARD_EVENT_NAMES = [
  "page_view",
  "screen_view",
  "click",
  "submit",
  "sign_up",
  "sign_in",
  "sign_out",
  "feature_used",
  "purchase",
  "error",
  "custom",
] as const

/** Name given to an event whose kind has none of its own. */
export const NAME_OF_KIND = {
  page: "page_view",
  screen: "screen_view",
  identify: "identify",
  alias: "alias",
  group: "group",
  unalias: "unalias",
} as const satisfies Record<Exclude<KnownKind, "track">, string>

/**
 * Something odd about an accepted event that its numbers may depend on. The event counts all the same.
 *
 * A storage contract: append, never reorder.
 */
export const EVENT_WARNINGS = [
  "timestamp-missing",
  "timestamp-unreadable",
  "timestamp-in-future",
  "user-id-refused",
  "anonymous-id-refused",
  "session-id-refused",
  "properties-not-an-object",
] as const

/** A warning of a logged event; `unknown(7)`: one that only a newer version knows. */
export type EventWarning = (typeof EVENT_WARNINGS)[number] | Unknown

/**
 * An immutable fact that a client reported, as the log holds it.
 *
 * All instants are integer milliseconds since 1970-01-01T00:00:00Z. `time` is the event time that every metric uses;
 * the three original instants stay beside it, so that another correction policy can be replayed.
 */
export interface Event {
  /** Counts once within the dedupe horizon. */
  readonly id: string
  readonly kind: EventKind
  /** `track`: the client's name for it; other kinds: see {@link NAME_OF_KIND}. */
  readonly name: string
  readonly userId: string | null
  readonly anonymousId: string | null
  readonly sessionId: string | null
  readonly time: number
  /** What the client's clock said when it happened. */
  readonly timestamp: number | null
  /** What the client's clock said when it was sent. */
  readonly sentAt: number | null
  /** What the clock of the receiving side said when it arrived; `null` for imported history that doesn't say. */
  readonly receivedAt: number | null
  readonly warnings: ReadonlyArray<EventWarning>
  /**
   * Everything else, untouched: `properties`, `context`, `traits`, `previousId` (alias), `groupId` (group), and any
   * field this version does not know.
   */
  readonly body: JsonObject
  /** Columns that a newer version logged and this one does not know; kept when the event is logged once more. */
  readonly newer?: JsonObject
}

/** Whether events of this kind say what somebody did, not who somebody is (docs/reference/semantics.md, Active users). */
export const isActivity = (kind: EventKind): boolean => kind === "track" || kind === "page" || kind === "screen"

const KNOWN_KINDS: ReadonlySet<EventKind> = new Set(EVENT_KINDS)

/** Whether this version knows what events of this kind mean. One that it doesn't know makes nobody active, and links nobody. */
export const isKnownKind = (kind: EventKind): boolean => KNOWN_KINDS.has(kind)
