import { Effect } from "effect"
import { Migrator, type SqlClient } from "effect/sql"
import { isSqlError } from "effect/sql/SqlError"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"

/** Brings tables up to date by the migrations that a table of theirs does not name; says what the database said against it. */
export const runMigrations = (
  attempted: string,
  migrations: Readonly<Record<string, Effect.Effect<void, unknown, SqlClient.SqlClient>>>,
  table: string,
) =>
  Migrator.make({})({ loader: Migrator.fromRecord(migrations), table }).pipe(
    Effect.catchTag("MigrationError", ({ cause, message }) =>
      Effect.fail(
        isSqlError(cause) ? cause : new ReadModelUnavailable({ attempted, reason: message, retryable: false }),
      ),
    ),
    explained(attempted),
    Effect.asVoid,
  )
