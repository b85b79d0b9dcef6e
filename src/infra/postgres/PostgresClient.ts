import { Context, Effect, Layer, Option } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import { BulkCopy, copyStatement, formatOf } from "../sql/BulkCopy.ts"
import { makePostgresCompiler } from "../sql/postgresCompiler.ts"
import type { PostgresUnavailable } from "./errors.ts"
import { openServer } from "./openServer.ts"
import { type PostgresOptions, readOptions } from "./options.ts"
import type { PostgresConnection } from "./PostgresConnection.ts"

/**
 * A PostgreSQL server (13 to 18) as effect/sql's `SqlClient` and as `BulkCopy`: a pool of connections, all tables in a
 * schema of their own, limits on how long statements run and wait. It also works through a pooler that lends a server
 * connection for one transaction; see docs/decisions/0033.
 */
export const layerPostgres = (
  options: PostgresOptions,
): Layer.Layer<SqlClient.SqlClient | BulkCopy, PostgresUnavailable> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const config = yield* readOptions(options)
      const { lease, keepsSessions } = yield* openServer(config)
      const noSession = Effect.fail(needsSession(config.server))

      /** Lends the connection of the transaction that the fiber is in, else that of a transaction of its own. */
      const inTransaction: Borrow = (use) => {
        const lend = ([connection]: SqlClient.TransactionConnection.Service) => use(connection as PostgresConnection)
        const current = Effect.serviceOption(client.transactionService)
        const own = Effect.flatMap(current, (opened) => lend(Option.getOrThrow(opened)))
        return Effect.flatMap(current, Option.match({ onSome: lend, onNone: () => client.withTransaction(own) }))
      }

      const client: SqlClient.SqlClient = yield* SqlClient.make({
        acquirer: keepsSessions ? lease : noSession,
        borrower: keepsSessions ? (use) => Effect.scoped(Effect.flatMap(lease, use)) : inTransaction,
        transactionAcquirer: lease,
        beginTransaction: "BEGIN ISOLATION LEVEL READ COMMITTED",
        commit: (connection) => (connection as PostgresConnection).commit,
        isTransaction: (connection) => (connection as PostgresConnection).isInTransaction(),
        compiler: makePostgresCompiler(),
        driver: "pg",
        spanAttributes: [["db.system.name", "postgresql"]],
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      })

      return Context.make(
        SqlClient.SqlClient,
        keepsSessions ? client : Object.assign(client, { reserve: noSession }),
      ).pipe(
        Context.add(BulkCopy, {
          copy: (table, columns, rows) =>
            inTransaction((connection) =>
              connection.copyIn(copyStatement(table, columns, "STDIN", formatOf(rows)), rows),
            ),
        }),
      )
    }),
  ).pipe(Layer.provide(Reactivity.layer))

type Borrow = <A, E, R>(
  use: (connection: PostgresConnection) => Effect.Effect<A, E, R>,
) => Effect.Effect<A, E | SqlError, R>

const needsSession = (server: string): SqlError =>
  new SqlError({
    reason: new UnknownError({
      cause: undefined,
      message: `this needs a session of its own, and the pooler at ${server} lends connections for one transaction only; connect to the server itself, or let the pooler pool sessions`,
    }),
  })
