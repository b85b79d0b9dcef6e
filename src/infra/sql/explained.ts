import { Cause, Effect } from "effect"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { isTableGone } from "./classifyPostgresError.ts"
import { isOutcomeUnknown } from "./commitOutcome.ts"

/**
 * Turns a database failure into what was attempted and why it failed; driver errors go no further than this. Also those
 * that effect/sql raises as defects, because after a failed statement the rollback failed too: a full disk does that.
 */
export const explained =
  (attempted: string) =>
  <A, E, R>(
    effect: Effect.Effect<A, E | SqlError, R>,
  ): Effect.Effect<A, Exclude<E, SqlError> | ReadModelUnavailable, R> =>
    Effect.catchCause(effect, (cause): Effect.Effect<never, Exclude<E, SqlError> | ReadModelUnavailable> => {
      const error = sqlErrorOf(cause)
      return error === undefined
        ? Effect.failCause(cause as Cause.Cause<Exclude<E, SqlError>>)
        : Effect.fail(
            new ReadModelUnavailable({
              attempted,
              reason: reasonOfSql(error),
              retryable: error.isRetryable,
              outcome: isOutcomeUnknown(error) ? "unknown" : "not-done",
              superseded: isTableGone(error),
            }),
          )
    })

/** The failure of a cause if it is the database's, else a defect that is. */
const sqlErrorOf = (cause: Cause.Cause<unknown>): SqlError | undefined => {
  const failure = cause.reasons.find(Cause.isFailReason)
  const found =
    failure === undefined ? cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect) : [failure.error]
  return found.find(isSqlError)
}

const reasonOfSql = ({ reason }: SqlError): string => {
  const text = reason.message ?? reason._tag
  return text.includes("No space left on device") ? "no space left on the disk" : text
}
