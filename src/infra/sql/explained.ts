import { Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"

/** Turns a database failure into what was attempted and why it failed; driver errors go no further than this. */
export const explained =
  (attempted: string) =>
  <A, E>(effect: Effect.Effect<A, E | SqlError>): Effect.Effect<A, Exclude<E, SqlError> | ReadModelUnavailable> =>
    Effect.catchIf(
      effect,
      (error): error is Extract<E | SqlError, SqlError> =>
        typeof error === "object" && error !== null && "_tag" in error && error._tag === "SqlError",
      (error) =>
        Effect.fail(
          new ReadModelUnavailable({
            attempted,
            reason: error.reason.message ?? error.reason._tag,
            retryable: error.isRetryable,
          }),
        ),
    ) as Effect.Effect<A, Exclude<E, SqlError> | ReadModelUnavailable>
