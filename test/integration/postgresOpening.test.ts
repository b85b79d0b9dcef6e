import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { PostgresUnavailable } from "../../src/infra/postgres/errors.ts"
import { tooOld } from "../../src/infra/postgres/openServer.ts"
import type { PostgresOptions } from "../../src/infra/postgres/options.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { SCHEMA_VERSION } from "../../src/infra/sql/migrations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { freePort } from "../support/freePort.ts"
import { PASSWORD, type PostgresServer, startPostgres } from "../support/postgresServer.ts"

/** Worlds in which PostgreSQL can't be used at all: each is one sentence that names the server and says what to do. */

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({
    auth: "password",
    fsync: false,
    settings: { max_connections: 8, superuser_reserved_connections: 3, max_wal_senders: 0 },
  })
  await server.query("CREATE ROLE app LOGIN PASSWORD 'app'")
})
afterAll(() => server.dispose())

type Options = Omit<PostgresOptions, "url">

const refusal = (url: string, options: Options = {}): Promise<PostgresUnavailable> =>
  Effect.runPromise(
    Effect.scoped(Effect.flip(Layer.build(layerPostgres({ url: Redacted.make(url), ...options })))).pipe(
      Effect.catchCause(() => Effect.die(new Error("it opened"))),
    ),
  )

/** Opens, runs a statement, closes. */
const answer = (url: string, sql: string, options: Options = {}) =>
  Effect.runPromise(
    Effect.flatMap(SqlClient.SqlClient, (client) => client.unsafe(sql)).pipe(
      Effect.provide(layerPostgres({ url: Redacted.make(url), ...options })),
    ),
  )

const at = (database = "postgres", role = "postgres") =>
  `PostgreSQL at 127.0.0.1:${server.port} (database ${database}, role ${role}) can't be used: `

describe("an address that can't be read", () => {
  for (const address of [
    "",
    "localhost",
    "mysql://root:secret@localhost/app",
    "http://app:secret@localhost:5432/app",
    "postgres://app:secret@local host/app",
    "postgres://app:sec/ret#@localhost:5432/app",
    "postgres://app:secret@localhost:99999/app",
  ]) {
    test(JSON.stringify(address.replaceAll("secret", "…")), async () => {
      const error = await refusal(address)
      expect(error.message).toMatch(
        /^The address of PostgreSQL can't be used: it does not read as postgres:\/\/role:password@host:port\/database; /,
      )
      expect(error.retryable).toBe(false)
      expect(JSON.stringify(error) + error.message + String(error.stack)).not.toContain("secret")
    })
  }

  test("names a file that isn't there", async () => {
    const error = await refusal("postgres://app:secret@localhost/app?sslrootcert=/nowhere/root.crt")
    expect(error.message).toBe(
      "The address of PostgreSQL can't be used: the driver can't read it; see its parameters and the files that they name.",
    )
  })

  test("options that won't do", async () => {
    expect((await refusal(server.url(), { schema: 'Robert"; DROP' })).message).toContain("the schema name")
    expect((await refusal(server.url(), { schema: "" })).message).toContain("the schema name")
    expect((await refusal(server.url(), { poolSize: 0 })).message).toContain("a pool of 0 connections won't do")
    expect((await refusal(server.url(), { poolSize: 1.5 })).message).toContain("a pool of 1.5 connections won't do")
  })
})

describe("a server that isn't reached", () => {
  test("nothing listens", async () => {
    const port = await freePort()
    const error = await refusal(`postgres://app:secret@127.0.0.1:${port}/app`)
    expect(error.message).toBe(
      `PostgreSQL at 127.0.0.1:${port} (database app, role app) can't be used: nothing listens there; start PostgreSQL, or correct host and port.`,
    )
    expect(error.retryable).toBe(true)
  })

  test("nobody answers", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1")
    await once(silent, "listening")
    const { port } = silent.address() as AddressInfo
    const error = await refusal(`postgres://app:secret@127.0.0.1:${port}/app`, { acquireTimeout: "200 millis" })
    expect(error.message).toBe(
      `PostgreSQL at 127.0.0.1:${port} (database app, role app) can't be used: no answer within 200ms; check host, port and what lies between.`,
    )
    expect(error.retryable).toBe(true)
    silent.close()
  })

  test("something else listens", async () => {
    const other = createServer((socket) => {
      socket.on("error", () => {})
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
    }).listen(0, "127.0.0.1")
    await once(other, "listening")
    const { port } = other.address() as AddressInfo
    const error = await refusal(`postgres://app:secret@127.0.0.1:${port}/app`, { acquireTimeout: "5 seconds" })
    expect(error.message).toContain(`PostgreSQL at 127.0.0.1:${port} (database app, role app) can't be used: `)
    other.close()
  })

  test("it wants no encryption", async () => {
    const error = await refusal(`${server.url()}?sslmode=verify-full`)
    expect(error.message).toBe(`${at()}The server does not support SSL connections.`)
  })
})

describe("a server that lets nobody in", () => {
  test("refused password", async () => {
    const error = await refusal(server.url({ user: "app", password: "secret" }))
    expect(error.message).toBe(
      `${at("postgres", "app")}password authentication failed for user "app"; check the role and its password.`,
    )
    expect(error.retryable).toBe(false)
  })

  test("no password", async () => {
    const error = await refusal(server.url({ user: "app" }))
    expect(error.message).toContain(at("postgres", "app"))
    expect(error.retryable).toBe(false)
  })

  test("a role that does not exist", async () => {
    const error = await refusal(server.url({ user: "nobody", password: "secret" }))
    expect(error.message).toBe(
      `${at("postgres", "nobody")}password authentication failed for user "nobody"; check the role and its password.`,
    )
  })

  test("a database that does not exist", async () => {
    const error = await refusal(server.url({ database: "nowhere" }))
    expect(error.message).toBe(
      `${at("nowhere")}database "nowhere" does not exist; create it (createdb), or correct the address.`,
    )
    expect(error.retryable).toBe(false)
  })

  test("out of connections", async () => {
    const others: Array<pg.Client> = []
    try {
      for (;;) {
        const other = new pg.Client(server.url({ user: "app", password: "app" }))
        if (
          await other.connect().then(
            () => false,
            () => true,
          )
        )
          break
        others.push(other)
      }
      const error = await refusal(server.url({ user: "app", password: "app" }))
      expect(error.message).toMatch(
        /can't be used: out of connections: .*; lower the pools of its clients or raise its max_connections\.$/,
      )
      expect(error.retryable).toBe(true)
    } finally {
      await Promise.all(others.map((client) => client.end()))
    }
  })

  test("a database that can't hold every text", async () => {
    await server.query("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    const error = await refusal(server.url({ database: "latin" }))
    expect(error.message).toBe(
      `${at("latin")}its database has the encoding LATIN1, which can't hold every text; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.`,
    )
  })

  test("a password with every special character lets in, and shows nowhere", async () => {
    expect(await answer(server.url({ password: PASSWORD }), "SELECT 1 AS one")).toEqual([{ one: 1 }])
  })
})

describe("a server that is too old", () => {
  test("is told from one that isn't", () => {
    expect(tooOld(120_022, "12.22")).toBe("it is PostgreSQL 12.22, and Tidemark needs 13 or newer; upgrade the server")
    expect(tooOld(90_624, "9.6.24")).toBe("it is PostgreSQL 9.6.24, and Tidemark needs 13 or newer; upgrade the server")
    expect(tooOld(130_000, "13.0")).toBeNull()
    expect(tooOld(180_001, "18.1")).toBeNull()
  })
})

describe("the schema", () => {
  const app = () => server.url({ user: "app", password: "app" })

  test("is made when it isn't there, by many at once", async () => {
    const sql = "SELECT current_schema() AS schema"
    const opened = await Promise.all(
      [1, 2, 3, 4].map(() => answer(server.url(), sql, { schema: "new_one", poolSize: 1 })),
    )
    expect(opened).toEqual([1, 2, 3, 4].map(() => [{ schema: "new_one" }]))
  })

  test("gets its tables once, when many begin at once", async () => {
    const open = () => {
      const client = layerPostgres({ url: Redacted.make(server.url()), schema: "fresh", poolSize: 1 })
      const counted = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`SELECT max(migration_id) AS version FROM migrations`,
      )
      return Effect.runPromise(counted.pipe(Effect.provide(layerSqlReadModel.pipe(Layer.provideMerge(client)))))
    }
    const opened = await Promise.all([1, 2, 3, 4].map(open))
    expect(opened).toEqual([1, 2, 3, 4].map(() => [{ version: SCHEMA_VERSION }]))
  })

  test("is used in transactions that read what was committed before each statement, whatever the server's default", async () => {
    await server.query("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'")
    const client = layerPostgres({ url: Redacted.make(server.url()), schema: "isolated" })
    const level = Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql.withTransaction(sql`SELECT current_setting('transaction_isolation') AS level`),
    )
    expect(await Effect.runPromise(level.pipe(Effect.provide(client)))).toEqual([{ level: "read committed" }])
    await server.query("ALTER DATABASE postgres RESET default_transaction_isolation")
  })

  test("can't be made by a role without rights", async () => {
    const error = await refusal(app(), { schema: "unmade" })
    expect(error.message).toBe(
      `${at("postgres", "app")}there is no schema unmade, and role app may not create one; an administrator does: CREATE SCHEMA unmade AUTHORIZATION app.`,
    )
    expect(error.retryable).toBe(false)
  })

  test("of somebody else can't be used", async () => {
    await server.query("CREATE SCHEMA theirs")
    const error = await refusal(app(), { schema: "theirs" })
    expect(error.message).toBe(
      `${at("postgres", "app")}role app has no right to use the schema theirs; its owner grants it: GRANT USAGE, CREATE ON SCHEMA theirs TO app.`,
    )
    await server.query("GRANT USAGE, CREATE ON SCHEMA theirs TO app")
    expect(await answer(app(), "SELECT current_schema() AS schema", { schema: "theirs" })).toEqual([
      { schema: "theirs" },
    ])
  })

  test("can't be made on a server that only reads", async () => {
    await server.query("CREATE DATABASE reading")
    await server.query("ALTER DATABASE reading SET default_transaction_read_only = on")
    const error = await refusal(server.url({ database: "reading" }))
    expect(error.message).toBe(
      `${at("reading")}it only reads (a standby, or set to), and the schema tidemark is not there yet; use the server that writes.`,
    )
  })
})
