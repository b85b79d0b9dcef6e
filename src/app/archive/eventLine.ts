import { LOG_FIELD } from "../../domain/event/admit.ts"
import type { Event } from "../../domain/event/Event.ts"
import { formatInstant } from "../../domain/time/instant.ts"

/** Where an event stands in the log. */
export interface EventPlace {
  readonly partition: number
  readonly sequence: number
  /** Its place in the batch, from 0. */
  readonly place: number
  /** ms */
  readonly loggedAt: number
}

/**
 * An event as one line of JSON for other tools, and for `tidemark import`, which makes the same event of it: `timestamp` is the
 * event time, so that no correction of clocks is made a second time. What only the log knows is below {@link LOG_FIELD}.
 */
export const eventLine = (event: Event, { partition, sequence, place, loggedAt }: EventPlace): string => {
  const { id, kind, name, userId, anonymousId, sessionId, time, timestamp, sentAt, receivedAt, warnings, body, newer } =
    event
  return `${JSON.stringify({
    id,
    type: kind,
    event: name,
    userId,
    anonymousId,
    sessionId,
    timestamp: formatInstant(time),
    receivedAt: formatOptional(receivedAt),
    ...body,
    [LOG_FIELD]: {
      partition,
      sequence,
      place,
      loggedAt: formatInstant(loggedAt),
      timestamp: formatOptional(timestamp),
      sentAt: formatOptional(sentAt),
      warnings,
      newer,
    },
  })}\n`
}

const formatOptional = (instant: number | null): string | null => (instant === null ? null : formatInstant(instant))
