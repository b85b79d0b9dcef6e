import { Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { describe, expect, test } from "vitest"
import { classifyPostgresError } from "../../src/infra/sql/classifyPostgresError.ts"
import { asCommitFailure } from "../../src/infra/sql/commitOutcome.ts"
import { explained } from "../../src/infra/sql/explained.ts"

const failure = (code: string | undefined, message: string) =>
  Object.assign(new Error(message), code === undefined ? {} : { code })

const seen = (error: SqlError) => Effect.runSync(Effect.flip(Effect.fail(error).pipe(explained("write"))))

describe("a failure of Postgres", () => {
  for (const [code, message, tag, retryable] of [
    ["40P01", "deadlock detected", "DeadlockError", true],
    ["40001", "could not serialize access", "SerializationError", true],
    ["55P03", "canceling statement due to lock timeout", "LockTimeoutError", true],
    ["57P01", "terminating connection due to administrator command", "ConnectionError", true],
    ["57P02", "terminating connection because of crash of another server process", "ConnectionError", true],
    ["57P03", "the database system is starting up", "ConnectionError", true],
    ["25P03", "terminating connection due to idle-in-transaction timeout", "ConnectionError", true],
    ["08006", "connection failure", "ConnectionError", true],
    ["53300", "sorry, too many clients already", "ConnectionError", true],
    ["ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:5432", "ConnectionError", true],
    ["ECONNRESET", "read ECONNRESET", "ConnectionError", true],
    ["EPIPE", "write EPIPE", "ConnectionError", true],
    ["ENOTFOUND", "getaddrinfo ENOTFOUND nowhere", "ConnectionError", true],
    [undefined, "Connection terminated unexpectedly", "ConnectionError", true],
    [undefined, "Query read timeout", "ConnectionError", true],
    ["25006", "cannot execute INSERT in a read-only transaction", "UnknownError", false],
    ["53100", "could not extend file: No space left on device", "UnknownError", false],
    ["3D000", 'database "app" does not exist', "UnknownError", false],
    ["57P04", "terminating connection because database was dropped", "UnknownError", false],
    ["28P01", "password authentication failed", "AuthenticationError", false],
    ["42501", "permission denied for table cells", "AuthorizationError", false],
    ["42P01", 'relation "cells" does not exist', "SqlSyntaxError", false],
    ["23505", "duplicate key value", "UniqueViolation", false],
    ["23502", "null value in column", "ConstraintError", false],
    [undefined, "anything else", "UnknownError", false],
  ] as const) {
    test(`${code ?? "no code"}: ${message}`, () => {
      const error = classifyPostgresError(failure(code, message))
      expect(error.reason._tag).toBe(tag)
      expect(seen(error)).toMatchObject({ retryable, outcome: "not-done" })
    })
  }

  test("two steps that meet the same new distinct id may try again", () => {
    const clash = Object.assign(failure("23505", "duplicate key value"), {
      constraint: "distinct_ids_distinct_id_older_key",
    })
    const error = classifyPostgresError(clash)
    expect(error.reason._tag).toBe("SerializationError")
    expect(seen(error)).toMatchObject({ retryable: true, outcome: "not-done" })
  })

  test("names the server where it is about the server", () => {
    expect(classifyPostgresError(failure("57P03", "starting up"), "db:5432").reason.message).toBe(
      "starting up [db:5432]",
    )
    expect(classifyPostgresError(failure("42703", "no column"), "db:5432").reason.message).toBe("no column")
  })

  test("of a name with several addresses is that of the first", () => {
    const both = new AggregateError([failure("ECONNREFUSED", "::1"), failure("ECONNREFUSED", "127.0.0.1")])
    expect(classifyPostgresError(both).reason).toMatchObject({
      _tag: "ConnectionError",
      message: "nothing listens there; start PostgreSQL, or correct host and port",
    })
  })

  test("says that the disk is full", () => {
    expect(seen(classifyPostgresError(failure("53100", "could not extend file"))).reason).toBe(
      "no space left on the disk",
    )
  })
})

describe("a failure of COMMIT", () => {
  test("that the server told was rolled back", () => {
    for (const code of ["40001", "23505", "53100", "57014"]) {
      expect(seen(asCommitFailure(classifyPostgresError(failure(code, "refused")))).outcome).toBe("not-done")
    }
  })

  test("is of unknown outcome when the connection broke or the server shut down, and is not tried again", () => {
    for (const code of ["ECONNRESET", "57P01", "57P02", "08006"]) {
      const error = seen(asCommitFailure(classifyPostgresError(failure(code, "gone"))))
      expect(error).toMatchObject({ outcome: "unknown", retryable: false })
      expect(error.message).toBe("Could not write: whether it was committed is unknown: gone.")
    }
  })
})
