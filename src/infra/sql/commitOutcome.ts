import { SqlError, UnknownError } from "effect/sql/SqlError"
import { isConnectionLost } from "./classifyPostgresError.ts"

const OPERATION = "COMMIT"

/**
 * A failure of a statement that commits. What the server itself refused was rolled back; when the connection was lost on
 * the way, nobody knows, and trying again could do the work twice.
 */
export const asCommitFailure = (error: SqlError): SqlError =>
  isConnectionLost(error)
    ? new SqlError({
        reason: new UnknownError({
          cause: error.reason.cause,
          message: `whether it was committed is unknown: ${error.reason.message}`,
          operation: OPERATION,
        }),
      })
    : error

/** Whether the work may have been done although it failed. */
export const isOutcomeUnknown = ({ reason }: SqlError): boolean =>
  reason._tag === "UnknownError" && reason.operation === OPERATION
