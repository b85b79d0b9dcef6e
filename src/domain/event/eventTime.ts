import type { EventWarning } from "./Event.ts"

/**
 * How a client's clock is corrected (docs/reference/semantics.md, Time):
 * `correct` shifts by the difference seen between `sentAt` and `receivedAt`; `ahead-only` does so only when the clock
 * runs ahead (for protocols whose retries resend a stale `sentAt`); `off` believes the client.
 */
export type SkewPolicy = "correct" | "ahead-only" | "off"

/** An event more than this far ahead of its receipt is dated to the receipt. */
export const FUTURE_TOLERANCE_MILLIS = 24 * 3_600_000

/** The original instants, in ms; `timestamp` is `"unreadable"` where the client sent something that is no time. */
export interface ReportedTimes {
  readonly timestamp: number | "unreadable" | null
  readonly sentAt: number | null
  readonly receivedAt: number
}

/**
 * The event time in ms, with the warning it earns: `receivedAt − (sentAt − timestamp)` when all three are readable,
 * else `timestamp`, else `receivedAt`. A time more than 24 h ahead of the receipt is replaced by the receipt.
 */
export const resolveEventTime = (
  times: ReportedTimes,
  policy: SkewPolicy,
): { readonly time: number; readonly warning: EventWarning | null } => {
  const { timestamp, sentAt, receivedAt } = times
  if (timestamp === null) return { time: receivedAt, warning: "timestamp-missing" }
  if (timestamp === "unreadable") return { time: receivedAt, warning: "timestamp-unreadable" }
  const skew = sentAt === null ? 0 : sentAt - receivedAt
  const corrects = policy === "correct" || (policy === "ahead-only" && skew > 0)
  const time = corrects ? timestamp - skew : timestamp
  return time > receivedAt + FUTURE_TOLERANCE_MILLIS
    ? { time: receivedAt, warning: "timestamp-in-future" }
    : { time, warning: null }
}
