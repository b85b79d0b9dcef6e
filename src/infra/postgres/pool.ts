import { Duration, Effect, Redacted, type Scope } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import pg from "pg"
import { classifyPostgresError } from "../sql/classifyPostgresError.ts"
import type { PostgresConfig } from "./options.ts"
import { showPool } from "./poolMetrics.ts"
import { makeConnection, type PostgresConnection } from "./PostgresConnection.ts"
import { valueTypes } from "./types.ts"

/** When a client gives up on an answer: the server's own limit should have ended the statement well before. */
const ANSWER_GRACE = Duration.seconds(5)

/** How long closing may take before connections are cut. */
const CLOSE_TIMEOUT = "2 seconds"

/** After this long without traffic the operating system asks whether the other side is still there. */
const KEEPALIVE_MS = 30_000

/** Lends a connection until the scope closes; it goes back to the pool then, or away when it can't be used again. */
export type Lease = Effect.Effect<PostgresConnection, SqlError, Scope.Scope>

export interface Pool {
  readonly lease: Lease
}

/**
 * A pool of connections. It connects when it is first used. `options` are settings that come with each connection,
 * `localSettings` statements that each transaction begins with.
 */
export const openPool = (
  config: PostgresConfig,
  { options, localSettings }: { readonly options: string; readonly localSettings: string | null },
): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.gen(function* () {
    const limit = Duration.toMillis(config.statementTimeout)
    const answerTimeoutMillis = limit > 0 ? limit + Duration.toMillis(ANSWER_GRACE) : null
    const pool = new pg.Pool({
      connectionString: Redacted.value(config.url),
      application_name: "tidemark",
      options,
      max: config.poolSize,
      connectionTimeoutMillis: Duration.toMillis(config.acquireTimeout),
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_MS,
      types: valueTypes,
    })
    const connections = new Map<pg.PoolClient, PostgresConnection>()
    pool.on("connect", (client) =>
      connections.set(client, makeConnection(client, { localSettings, answerTimeoutMillis, server: config.server })),
    )
    pool.on("remove", (client) => connections.delete(client))
    // An idle connection that breaks, as all do when the server restarts: the pool forgets it and makes another.
    pool.on("error", () => {})

    yield* showPool(config.name, pool)

    yield* Effect.addFinalizer(() =>
      Effect.promise(() => pool.end()).pipe(
        Effect.interruptible,
        Effect.timeoutOption(CLOSE_TIMEOUT),
        Effect.andThen(
          Effect.sync(() => {
            for (const client of connections.keys()) client.connection.stream.destroy()
          }),
        ),
      ),
    )

    const lease: Lease = Effect.gen(function* () {
      // The finalizer comes first: a connection that arrives after its fiber was interrupted goes back at once.
      let wanted = true
      let lent: pg.PoolClient | undefined
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          wanted = false
          lent?.release(!connections.get(lent)?.isReusable())
        }),
      )
      return yield* Effect.callback<PostgresConnection, SqlError>((resume) => {
        pool.connect((cause, client) => {
          if (client === undefined) return resume(Effect.fail(whyNone(cause, config)))
          if (!wanted) return client.release()
          lent = client
          resume(Effect.succeed(connections.get(client)!))
        })
      })
    })
    return { lease }
  })

/** The pool's own words for a wait in vain say neither which wait it was nor what to do. */
const whyNone = (cause: unknown, { poolSize, acquireTimeout, server }: PostgresConfig): SqlError => {
  const waited = Duration.format(acquireTimeout)
  const said = cause instanceof Error ? cause.message : ""
  const message = said.startsWith("timeout exceeded")
    ? `out of connections: pool of ${poolSize} was busy for ${waited}; make it larger (poolSize), or do less at once`
    : said.startsWith("Connection terminated due to connection timeout")
      ? `no answer within ${waited} [${server}]; check host, port and what lies between`
      : undefined
  return message === undefined
    ? classifyPostgresError(cause, server)
    : new SqlError({ reason: new ConnectionError({ cause, message }) })
}
