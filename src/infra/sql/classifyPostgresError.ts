import {
  AuthenticationError,
  AuthorizationError,
  ConnectionError,
  ConstraintError,
  DeadlockError,
  LockTimeoutError,
  SerializationError,
  SqlError,
  type SqlErrorReason,
  SqlSyntaxError,
  StatementTimeoutError,
  UniqueViolation,
  UnknownError,
} from "effect/sql/SqlError"

/**
 * Sorts a Postgres failure by its SQLSTATE (PostgreSQL documentation, Appendix A), so that callers can tell what is
 * worth trying again.
 */
export const classifyPostgresError = (cause: unknown): SqlError => new SqlError({ reason: reasonOf(cause) })

const reasonOf = (cause: unknown): SqlErrorReason => {
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""
  const fields = { cause, message }
  if (code === "23505") {
    const constraint = cause instanceof Error && "constraint" in cause ? String(cause.constraint) : "unknown"
    return new UniqueViolation({ ...fields, constraint })
  }
  if (code === "40P01") return new DeadlockError(fields)
  if (code === "40001") return new SerializationError(fields)
  if (code === "55P03") return new LockTimeoutError(fields)
  if (code === "57014") return new StatementTimeoutError(fields)
  if (code === "42501") return new AuthorizationError(fields)
  if (code.startsWith("28")) return new AuthenticationError(fields)
  if (code.startsWith("23")) return new ConstraintError(fields)
  if (code.startsWith("42")) return new SqlSyntaxError(fields)
  if (code.startsWith("08") || code.startsWith("57P")) return new ConnectionError(fields)
  return new UnknownError(fields)
}
