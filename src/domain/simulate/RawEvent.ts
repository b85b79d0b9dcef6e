import type { EventKind } from "../event/Event.ts"
import type { JsonObject } from "../event/json.ts"

/**
 * An event as a client sends it, in Tidemark's own shape, stamped with its receipt. The keys stand in the order in which
 * they are written.
 *
 * A type alias, not an interface, so that it is a `JsonObject` and can be handed to `admit` as it is.
 */
export type RawEvent = {
  readonly id: string
  readonly type: EventKind
  readonly event: string
  readonly userId?: string
  /** Of an alias: the user id that is given up. */
  readonly previousId?: string
  readonly anonymousId?: string
  readonly sessionId: string
  /** By the device's clock, which may be wrong. */
  readonly timestamp: string
  /** By the same clock; only trackers that buffer send it. */
  readonly sentAt?: string
  /** By our clock. */
  readonly receivedAt: string
  readonly properties: JsonObject
  /** Complete on the first event of a session, just the type of device on the others. */
  readonly context: JsonObject
}

/** An event on its way, in the smallest form: its id and its written times are made when it is taken out. */
export interface Report extends Pick<RawEvent, "type" | "event" | "sessionId" | "properties" | "context"> {
  /** The id, once there is one. */
  id: string | null
  readonly userId: string | null
  readonly previousId: string | null
  readonly anonymousId: string | null
  readonly timestamp: number
  readonly sentAt: number | null
  readonly receivedAt: number
}
