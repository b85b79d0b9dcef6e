import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"

/** How many statements the server holds prepared for a connection, once some have run on it in a transaction. */
export const preparedIn = <A>(statements: Effect.Effect<A, SqlError, SqlClient.SqlClient>, mode = "READ WRITE") =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const counting = sql<{
      readonly count: number
    }>`SELECT count(*)::int AS count FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared_statements%'`
    return Effect.provideService(
      sql.withTransaction(
        Effect.andThen(
          statements,
          Effect.map(counting, ([row]) => row!.count),
        ),
      ),
      SqlClient.BeginTransaction,
      `BEGIN ISOLATION LEVEL REPEATABLE READ, ${mode}`,
    )
  })
