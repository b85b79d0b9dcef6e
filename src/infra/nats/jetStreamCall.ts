import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream"
import { errors, type PermissionViolationError } from "@nats-io/transport-node"
import { Clock, Data, Duration, Effect, Schedule } from "effect"
import { LogUnavailable } from "../../domain/log/errors.ts"
import { monotonicMillis } from "../monotonicMillis.ts"

/** Why a call of JetStream did not succeed, as far as it decides what to do next. */
export class CallFailed extends Data.TaggedError("CallFailed")<{
  /**
   * `away`: no answer came, which may pass. `nobody`: nobody takes such calls now, since there is no leader, no stream,
   * or no JetStream. `closed`: the connection is closed for good.
   */
  readonly kind: "away" | "nobody" | "closed" | "disabled" | "noStream" | "full" | "refused"
  readonly reason: string
  /** JetStream's own number of the error; 0 where it gave none. */
  readonly code: number
}> {}

/** JetStream's numbers: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
export const CODE = {
  streamNameInUse: 10058,
  jetStreamNotEnabled: 10076,
  insufficientResources: 10023,
  storageExceeded: 10047,
  maxBytes: 10077,
} as const

/** Calls JetStream; a failure says whether waiting may help. */
export const call = <A>(run: () => Promise<A>): Effect.Effect<A, CallFailed> =>
  Effect.tryPromise({ try: run, catch: failureOf })

const failureOf = (cause: unknown): CallFailed => {
  const failed = (kind: CallFailed["kind"], reason: string, code = 0) => new CallFailed({ kind, reason, code })
  if (cause instanceof JetStreamApiError) {
    const { code, message } = cause
    if (code === JetStreamApiCodes.StreamNotFound) return failed("noStream", "there is no such stream", code)
    if (code === CODE.maxBytes) return failed("full", "the stream is full (its max_bytes is reached)", code)
    if (code === CODE.insufficientResources || code === CODE.storageExceeded) {
      return failed("full", "the server's storage for JetStream is full", code)
    }
    if (code === CODE.jetStreamNotEnabled) return failed("disabled", DISABLED, code)
    // 503: no leader yet, or just now no longer.
    if (cause.status === 503) return failed("away", message, code)
    if (message.includes("maximum messages exceeded")) {
      return failed("full", "the stream is full (its max_msgs is reached)", code)
    }
    return failed("refused", message, code)
  }
  // The client wraps what happened: a refusal of the subject in the error of a request; and in its own error of JetStream
  // being off either the server's word for it, or that nobody answered, as while there is no leader.
  const within = cause instanceof Error ? cause.cause : undefined
  if (within instanceof errors.PermissionViolationError) return failed("refused", notPermitted(within))
  if (within instanceof JetStreamApiError) return failed("disabled", DISABLED, within.code)
  if (within instanceof errors.RequestError) return failed("nobody", "JetStream does not answer")
  if (cause instanceof errors.TimeoutError) return failed("away", "the server did not answer in time")
  if (cause instanceof errors.ClosedConnectionError) return failed("closed", "the connection is closed")
  if (cause instanceof errors.PermissionViolationError) return failed("refused", notPermitted(cause))
  if (cause instanceof errors.RequestError) return failed("away", "the connection was lost")
  return failed("refused", cause instanceof Error ? cause.message : String(cause))
}

const notPermitted = ({ operation, subject }: PermissionViolationError): string =>
  `this user may not ${operation === "publish" ? "publish to" : "subscribe to"} ${subject}`

const DISABLED = "JetStream is not enabled for this account"

/** First pauses are short, since a leader is elected within moments; later ones spare the server. */
export const PAUSES = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")])

/** Whether waiting may help. */
const mayPass = ({ kind }: CallFailed): boolean => kind === "away" || kind === "nobody"

/** Calls again while nobody answers; a call that began within `patience` is waited for. */
export const whileAway =
  (patience: Duration.Duration) =>
  <A, R>(effect: Effect.Effect<A, CallFailed, R>): Effect.Effect<A, CallFailed, R> =>
    Effect.flatMap(stopwatch, (elapsed) =>
      Effect.retry(effect, {
        while: (failure) => Effect.map(elapsed, (millis) => mayPass(failure) && millis < Duration.toMillis(patience)),
        schedule: PAUSES,
      }),
    )

/**
 * How long it is since it was made, ms, by the clock that says more: the time of day may be put back, and the other one may
 * stand still while the machine does. So a batch is not sent again that the server may have forgotten.
 */
const stopwatch = Effect.gen(function* () {
  const [began, beganAt] = [yield* monotonicMillis, yield* Clock.currentTimeMillis]
  return Effect.zipWith(monotonicMillis, Clock.currentTimeMillis, (now, at) => Math.max(now - began, at - beganAt))
})

/** The failure as the port tells it. */
export const unavailable =
  (attempted: string) =>
  (failure: CallFailed): LogUnavailable => {
    const retryable = mayPass(failure) || failure.kind === "full"
    return new LogUnavailable({ attempted, reason: failure.reason, retryable })
  }
