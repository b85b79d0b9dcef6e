import { Effect, ManagedRuntime, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { hasPgBouncer, type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { preparedIn } from "../support/preparedIn.ts"
import { bulkCopyContract } from "./bulkCopy.ts"
import { readModelContract } from "./readModel.ts"

describe.runIf(hasPgBouncer())("behind PgBouncer, which lends a server connection for one transaction", () => {
  let server: PostgresServer
  /** Refuses the settings that come with a connection. */
  let refusing: PgBouncer
  /** Takes them, and forgets them. */
  let ignoring: PgBouncer

  beforeAll(async () => {
    server = await startPostgres({ fsync: false })
    refusing = await startPgBouncer(server.port, { serverConnections: 2 })
    ignoring = await startPgBouncer(server.port, {
      serverConnections: 2,
      settings: { ignore_startup_parameters: "options" },
    })
  })
  afterAll(async () => {
    await refusing.dispose()
    await ignoring.dispose()
    await server.dispose()
  })

  const url = (pooler: PgBouncer) => Redacted.make(pooler.url)

  readModelContract("PostgreSQL, settings refused", () => layerPostgres({ url: url(refusing) }))
  bulkCopyContract("PostgreSQL, settings ignored", () => layerPostgres({ url: url(ignoring) }))

  test("every statement has our settings, and leaves none behind", async () => {
    const runtime = ManagedRuntime.make(layerPostgres({ url: url(refusing), lockTimeout: "3 seconds", poolSize: 4 }))
    const seen = await runtime.runPromise(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const settings = sql`SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS lock,
          current_setting('timezone') AS zone, current_setting('statement_timeout') AS statement`
        const alone = yield* Effect.all(
          Array.from({ length: 8 }, () => settings),
          { concurrency: "unbounded" },
        )
        const together = yield* sql.withTransaction(Effect.all([settings, settings]))
        return [...alone, ...together].flat()
      }),
    )
    expect(seen).toEqual(
      Array.from({ length: 10 }, () => ({ path: "tidemark", lock: "3s", zone: "UTC", statement: "1min" })),
    )
    const other = ManagedRuntime.make(layerPostgres({ url: url(refusing), schema: "other" }))
    const theirs = await other.runPromise(
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`SELECT current_setting('lock_timeout') AS lock, current_schema() AS schema`,
      ),
    )
    expect(theirs).toEqual([{ lock: "10s", schema: "other" }])
    await runtime.dispose()
    await other.dispose()
  })

  test("transactions read what was committed before each statement, whatever the server has as default", async () => {
    await server.query("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'")
    const isolation = Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql.withTransaction(sql`SELECT current_setting('transaction_isolation') AS level`),
    )
    for (const address of [url(refusing), url(ignoring), Redacted.make(server.url())]) {
      const runtime = ManagedRuntime.make(layerPostgres({ url: address, schema: "isolated" }))
      expect(await runtime.runPromise(isolation)).toEqual([{ level: "read committed" }])
      await runtime.dispose()
    }
    await server.query("ALTER DATABASE postgres RESET default_transaction_isolation")
  })

  test("nothing is prepared, since the next transaction may be on another connection", async () => {
    const one = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT ${1}::int AS one`)
    const runtime = ManagedRuntime.make(layerPostgres({ url: url(refusing) }))
    expect(await runtime.runPromise(preparedIn(one, "READ ONLY"))).toBe(0)
    await runtime.dispose()
  })

  test("what needs a session of its own is refused with a sentence", async () => {
    const runtime = ManagedRuntime.make(layerPostgres({ url: url(refusing) }))
    const error = await runtime.runPromise(
      Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.scoped(Effect.flip(sql.reserve))),
    )
    expect(error.reason.message).toMatch(
      /^this needs a session of its own, and the pooler at 127\.0\.0\.1:\d+ \(database postgres, role postgres\) lends connections for one transaction only; connect to the server itself/,
    )
    await runtime.dispose()
  })
})
