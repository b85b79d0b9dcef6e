import { Deferred, Effect, Fiber, Layer, ManagedRuntime, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { PostgresOptions } from "../../src/infra/postgres/options.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { BulkCopy } from "../../src/infra/sql/BulkCopy.ts"
import { copyText } from "../../src/infra/sql/copyText.ts"
import { explained } from "../../src/infra/sql/explained.ts"
import { makeOneValue } from "../../src/infra/sql/oneValue.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { eventually } from "../support/eventually.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { PLAIN_CHANGES, plainStep } from "../support/steps.ts"
import { startProxy, type TcpProxy } from "../support/tcpProxy.ts"

/** What goes wrong with a server that was reached: each failure is typed, says if it may be tried again, and harms nothing. */

type Services = SqlClient.SqlClient | BulkCopy | ReadModel

let server: PostgresServer
let proxy: TcpProxy
const opened: Array<ManagedRuntime.ManagedRuntime<Services, unknown>> = []

beforeAll(async () => {
  server = await startPostgres()
  await server.query("CREATE ROLE app LOGIN")
  proxy = await startProxy(server.port)
})
afterAll(async () => {
  await proxy.close()
  await server.dispose()
})

/** A read model of its own schema, through the proxy. */
const open = (options: Partial<PostgresOptions> = {}) => {
  const url = Redacted.make(server.url().replace(`:${server.port}/`, `:${proxy.port}/`))
  const runtime = ManagedRuntime.make(layerSqlReadModel.pipe(Layer.provideMerge(layerPostgres({ url, ...options }))))
  opened.push(runtime)
  return runtime
}

beforeEach(() => server.query("DROP SCHEMA IF EXISTS tidemark CASCADE"))
afterEach(async () => {
  for (const runtime of opened.splice(0)) await runtime.dispose()
})

const sql = Effect.flatMap(SqlClient.SqlClient, Effect.succeed)
const statement = (text: string) =>
  Effect.flatMap(SqlClient.SqlClient, (client) => client.unsafe<Record<string, unknown>>(text))
const checkpoint = ReadModel.use((model) => model.checkpoint(LIVE_GROUP, 0))
/** The epoch of the claim that the first step of a test makes. */
let epoch = 0
const commit = (sequence: number) =>
  ReadModel.use((model) =>
    Effect.gen(function* () {
      if (sequence === 1) epoch = (yield* model.claim(LIVE_GROUP, 0, "test")).epoch
      yield* model.commit(plainStep(sequence, epoch), () => Effect.succeed(PLAIN_CHANGES))
    }),
  )
const inTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, (client) => client.withTransaction(effect))
const backend = Effect.map(statement("SELECT pg_backend_pid() AS pid"), (rows) => rows[0]!["pid"] as number)

describe("the connection is lost", () => {
  test("after the server got COMMIT: the outcome is unknown, and the checkpoint tells that it was done", async () => {
    const { runPromise } = open()
    await runPromise(commit(1))
    proxy.cutAt("COMMIT\0", "after")
    const error = await runPromise(Effect.flip(commit(2)))
    expect(error).toMatchObject({ _tag: "ReadModelUnavailable", outcome: "unknown", retryable: false })
    expect(error.message).toContain("whether it was committed is unknown: Connection terminated unexpectedly")
    expect((await runPromise(checkpoint))!.position.sequence).toBe(2)
    // Done again without a look at the checkpoint, it would still not be counted twice.
    expect(await runPromise(Effect.flip(commit(2)))).toMatchObject({ _tag: "CheckpointConflict" })
    expect(await runPromise(statement("SELECT amount FROM cells"))).toEqual([{ amount: "2" }])
  })

  test("before the server got COMMIT: the outcome is unknown, and the checkpoint tells that it was not done", async () => {
    const { runPromise } = open()
    await runPromise(commit(1))
    proxy.cutAt("COMMIT\0", "before")
    const error = await runPromise(Effect.flip(commit(2)))
    expect(error).toMatchObject({ _tag: "ReadModelUnavailable", outcome: "unknown", retryable: false })
    expect((await runPromise(checkpoint))!.position.sequence).toBe(1)
    await runPromise(commit(2))
    expect(await runPromise(statement("SELECT amount FROM cells"))).toEqual([{ amount: "2" }])
  })

  test("in a transaction, before COMMIT: nothing was done, and it may be tried again", async () => {
    const { runPromise } = open()
    for (const when of ["before", "after"] as const) {
      proxy.cutAt("INSERT INTO cells", when)
      const error = await runPromise(Effect.flip(commit(1)))
      expect(error).toMatchObject({ _tag: "ReadModelUnavailable", outcome: "not-done", retryable: true })
      expect(await runPromise(checkpoint)).toBeNull()
    }
    await runPromise(commit(1))
  })

  test("at BEGIN: nothing was done, and it may be tried again", async () => {
    const { runPromise } = open()
    await runPromise(checkpoint)
    proxy.cutAt("BEGIN", "before")
    expect(await runPromise(Effect.flip(commit(1)))).toMatchObject({ outcome: "not-done", retryable: true })
    await runPromise(commit(1))
  })

  test("in a statement alone: one that reads may be tried again, of one that writes the outcome is unknown", async () => {
    const { runPromise } = open()
    await runPromise(statement("CREATE TABLE lone (n integer)"))
    const lost = (text: string) => {
      proxy.cutAt(text, "after")
      return runPromise(Effect.flip(statement(text).pipe(explained("try"))))
    }
    expect(await lost("SELECT n FROM lone")).toMatchObject({ outcome: "not-done", retryable: true })
    expect(await lost("INSERT INTO lone VALUES (1)")).toMatchObject({ outcome: "unknown", retryable: false })
    expect(await runPromise(statement("SELECT n FROM lone"))).toEqual([{ n: 1 }])
  })

  test("while idle: the next statements have new ones", async () => {
    const { runPromise } = open()
    await runPromise(Effect.all([backend, backend, backend], { concurrency: 3 }))
    proxy.drop()
    await eventually("all broken connections are gone", async () => proxy.connections() === 0)
    expect(await runPromise(statement("SELECT 1 AS one"))).toEqual([{ one: 1 }])
  })

  test("in the middle of a copy", async () => {
    const { runPromise } = open()
    await runPromise(statement("CREATE TABLE many (n integer, label text)"))
    const text = copyText(Array.from({ length: 200_000 }, (_, n) => [n, n === 150_000 ? "cut here" : "x".repeat(20)]))
    proxy.cutAt("cut here", "before")
    const error = await runPromise(
      Effect.flip(
        inTransaction(BulkCopy.use(({ copy }) => copy("many", ["n", "label"], text))).pipe(explained("copy")),
      ),
    )
    expect(error).toMatchObject({ outcome: "not-done", retryable: true })
    expect(await runPromise(statement("SELECT count(*) AS count FROM many"))).toEqual([{ count: 0 }])
  })
})

describe("the server", () => {
  test("restarts: the pool goes on with new connections", async () => {
    const { runPromise } = open()
    await runPromise(Effect.all([backend, backend], { concurrency: 2 }))
    await runPromise(commit(1))
    await server.restart()
    await eventually("all broken connections are gone", async () => proxy.connections() === 0)
    await runPromise(commit(2))
  })

  test("is stopped in the middle of a transaction: it may be tried again", async () => {
    const { runPromise } = open()
    const error = await runPromise(
      Effect.flip(
        inTransaction(
          Effect.gen(function* () {
            yield* statement("INSERT INTO checkpoints SELECT * FROM checkpoints")
            yield* Effect.promise(() => server.stop())
            yield* statement("SELECT 1")
          }),
        ).pipe(explained("try")),
      ),
    )
    expect(error).toMatchObject({ outcome: "not-done", retryable: true })
    expect(await runPromise(Effect.flip(commit(1)))).toMatchObject({ outcome: "not-done", retryable: true })
    await server.start()
    await runPromise(commit(1))
  })

  test("is killed after it has acknowledged: nothing is lost", async () => {
    const { runPromise } = open()
    await runPromise(commit(1))
    await server.kill()
    await server.start()
    await eventually("all broken connections are gone", async () => proxy.connections() === 0)
    expect((await runPromise(checkpoint))!.position.sequence).toBe(1)
  })

  test("freezes: the statement fails in time, and closing does not wait for ever", async () => {
    const runtime = open({ statementTimeout: "500 millis" })
    await runtime.runPromise(checkpoint)
    server.freeze()
    try {
      const error = await runtime.runPromise(Effect.flip(checkpoint))
      expect(error.message).toContain("Query read timeout")
      expect(error).toMatchObject({ retryable: true })
      await runtime.dispose()
    } finally {
      server.thaw()
    }
    await open().runPromise(checkpoint)
  })

  test("only reads", async () => {
    const { runPromise } = open()
    await runPromise(commit(1))
    await server.query("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try {
      const { runPromise } = open()
      const error = await runPromise(
        Effect.flip(inTransaction(statement("DELETE FROM cells")).pipe(explained("write"))),
      )
      expect(error.message).toBe(
        `Could not write: the server only reads (cannot execute DELETE in a read-only transaction): it is a standby, or set to; use the one that writes [127.0.0.1:${proxy.port} (database postgres, role postgres)].`,
      )
      expect(error.retryable).toBe(false)
    } finally {
      await server.query("BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT")
    }
  })

  test("gives a role no rights on a table", async () => {
    await open().runPromise(commit(1))
    await server.query("GRANT USAGE ON SCHEMA tidemark TO app")
    const url = Redacted.make(server.url({ user: "app" }))
    const error = await Effect.runPromise(
      Effect.flip(statement("SELECT * FROM cells").pipe(explained("read cells"))).pipe(
        Effect.provide(layerPostgres({ url })),
      ),
    )
    expect(error.message).toBe(
      `Could not read cells: permission denied for table cells; docs/reference/postgres.md lists the rights to grant [127.0.0.1:${server.port} (database postgres, role app)].`,
    )
    expect(error.retryable).toBe(false)
  })

  test("has a schema of a newer version", async () => {
    await open().runPromise(statement("INSERT INTO migrations (migration_id, name) VALUES (99, 'from_the_future')"))
    const error = await open()
      .runPromise(commit(1))
      .then(
        () => undefined,
        (error: Error) => error,
      )
    expect(error!.message).toMatch(
      /its schema has version 99 and this version of Tidemark knows up to \d+; upgrade Tidemark/,
    )
  })
})

describe("transactions in each other's way", () => {
  const twoRows = Effect.gen(function* () {
    yield* statement("CREATE TABLE pair (id integer PRIMARY KEY, n integer)")
    yield* statement("INSERT INTO pair VALUES (1, 0), (2, 0)")
  })
  const add = (id: number) => statement(`UPDATE pair SET n = n + 1 WHERE id = ${id}`)

  test("deadlock: one goes through, the other may be tried again", async () => {
    const { runPromise } = open()
    await runPromise(twoRows)
    const results = await runPromise(
      Effect.gen(function* () {
        const first = yield* Deferred.make<void>()
        const second = yield* Deferred.make<void>()
        const crosswise = (mine: number, its: number, done: Deferred.Deferred<void>, other: Deferred.Deferred<void>) =>
          inTransaction(
            Effect.gen(function* () {
              yield* add(mine)
              yield* Deferred.succeed(done, undefined)
              yield* Deferred.await(other)
              yield* add(its)
            }),
          ).pipe(explained("add"), Effect.as("done"), Effect.catch(Effect.succeed))
        return yield* Effect.all([crosswise(1, 2, first, second), crosswise(2, 1, second, first)], { concurrency: 2 })
      }),
    )
    const failure = results.find((result) => result !== "done")
    expect(results).toContain("done")
    expect(failure).toMatchObject({ outcome: "not-done", retryable: true, reason: "deadlock detected" })
    expect(await runPromise(statement("SELECT n FROM pair ORDER BY id"))).toEqual([{ n: 1 }, { n: 1 }])
  })

  test("serialization failure: it may be tried again", async () => {
    const { runPromise } = open()
    await runPromise(twoRows)
    const error = await runPromise(
      Effect.flip(
        inTransaction(
          Effect.gen(function* () {
            yield* statement("SELECT * FROM pair")
            yield* Effect.promise(() => server.query("UPDATE tidemark.pair SET n = 5"))
            yield* add(1)
          }),
        ).pipe(
          Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL REPEATABLE READ"),
          explained("add"),
        ),
      ),
    )
    expect(error).toMatchObject({ outcome: "not-done", retryable: true })
    expect(error.message).toContain("could not serialize access")
  })

  test("a lock held for too long", async () => {
    const { runPromise } = open({ lockTimeout: "100 millis" })
    await runPromise(twoRows)
    // Another fiber's statement has a connection of its own.
    const another = Effect.promise(() => runPromise(Effect.flip(add(1).pipe(explained("add")))))
    const error = await runPromise(inTransaction(Effect.andThen(add(1), another)))
    expect(error).toMatchObject({
      outcome: "not-done",
      retryable: true,
      reason:
        "canceling statement due to lock timeout: somebody else has held what it needs for long; try again when they are through",
    })
  })

  test("a lock that a transaction begins with held for too long: its connection goes on", async () => {
    const { runPromise } = open({ lockTimeout: "100 millis", poolSize: 1 })
    await runPromise(twoRows)
    const begin = "BEGIN; LOCK TABLE tidemark.settings IN ACCESS SHARE MODE"
    const locking = inTransaction(backend).pipe(Effect.provideService(SqlClient.BeginTransaction, begin))
    const process = await runPromise(locking)
    const held = Effect.andThen(
      statement("LOCK TABLE tidemark.settings IN ACCESS EXCLUSIVE MODE"),
      Effect.promise(() => runPromise(Effect.flip(locking.pipe(explained("begin"))))),
    )
    expect(await open().runPromise(inTransaction(held))).toMatchObject({
      outcome: "not-done",
      retryable: true,
      reason:
        "canceling statement due to lock timeout: somebody else has held what it needs for long; try again when they are through",
    })
    // Still the same, and in no transaction: what it does alone is there for others.
    await runPromise(add(1))
    expect(await runPromise(locking)).toBe(process)
    expect(await runPromise(statement("SELECT pg_current_xact_id_if_assigned() IS NULL AS outside"))).toEqual([
      { outside: true },
    ])
  })

  test("a statement that runs for too long", async () => {
    const { runPromise } = open({ statementTimeout: "100 millis" })
    const error = await runPromise(Effect.flip(statement("SELECT pg_sleep(60)").pipe(explained("wait"))))
    expect(error).toMatchObject({ outcome: "not-done", reason: "canceling statement due to statement timeout" })
  })

  test("a failed statement that was caught: COMMIT says that nothing was done", async () => {
    const { runPromise } = open()
    await runPromise(twoRows)
    const error = await runPromise(
      Effect.flip(
        inTransaction(
          Effect.gen(function* () {
            yield* add(1)
            yield* Effect.ignore(statement("SELECT nonsense"))
          }),
        ).pipe(explained("add")),
      ),
    )
    expect(error).toMatchObject({
      outcome: "not-done",
      reason: "a statement had failed, so the transaction was rolled back",
    })
    expect(await runPromise(statement("SELECT n FROM pair WHERE id = 1"))).toEqual([{ n: 0 }])
  })

  test("what the server refuses at COMMIT was not done", async () => {
    const { runPromise } = open()
    await runPromise(statement("CREATE TABLE late (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    const error = await runPromise(
      Effect.flip(inTransaction(statement("INSERT INTO late VALUES (1), (1)")).pipe(explained("insert"))),
    )
    expect(error).toMatchObject({ outcome: "not-done", retryable: false })
    expect(await runPromise(statement("SELECT * FROM late"))).toEqual([])
  })
})

describe("the pool", () => {
  test("out of connections", async () => {
    const { runPromise } = open({ poolSize: 2, acquireTimeout: "200 millis" })
    await runPromise(checkpoint)
    const error = await runPromise(
      Effect.gen(function* () {
        const free = yield* Deferred.make<void>()
        const hold = inTransaction(Effect.andThen(statement("SELECT 1"), Deferred.await(free)))
        const holders = [yield* Effect.forkChild(hold), yield* Effect.forkChild(hold)]
        yield* Effect.promise(() => eventually("both are busy", async () => (await idleInTransaction()) === 2))
        const failure = yield* Effect.flip(checkpoint)
        yield* Deferred.succeed(free, undefined)
        yield* Fiber.joinAll(holders)
        return failure
      }),
    )
    expect(error.message).toBe(
      "Could not read a checkpoint: out of connections: pool of 2 was busy for 200ms; make it larger (poolSize), or do less at once.",
    )
    expect(error).toMatchObject({ retryable: true, outcome: "not-done" })
    await runPromise(commit(1))
  })

  const idleInTransaction = async () =>
    (
      await server.query(
        "SELECT FROM pg_stat_activity WHERE application_name = 'tidemark' AND state = 'idle in transaction'",
      )
    ).length

  const sleeping = async () => (await server.query("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length

  const copying = async () =>
    (await server.query("SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'")).length

  test("an interrupted statement ends at the server too, and its connection goes on", async () => {
    const { runPromise, runFork } = open({ poolSize: 1 })
    const before = await runPromise(backend)
    const atOnce = Effect.gen(function* () {
      const client = yield* SqlClient.SqlClient
      const oneValue = yield* makeOneValue
      return yield* Effect.all([oneValue(client`SELECT 1`), oneValue(client`SELECT pg_sleep(60)`)], {
        concurrency: "unbounded",
      })
    })
    const asleep = statement("SELECT pg_sleep(60)")
    for (const work of [asleep, inTransaction(asleep), inTransaction(atOnce)]) {
      const fiber = runFork(work)
      await eventually("it sleeps", async () => (await sleeping()) === 1)
      await Effect.runPromise(Fiber.interrupt(fiber))
      expect(await sleeping()).toBe(0)
    }
    expect(await runPromise(backend)).toBe(before)
  })

  test("an interrupted statement on a network that stalls is left", async () => {
    const { runPromise, runFork } = open({ poolSize: 1 })
    const before = await runPromise(backend)
    const fiber = runFork(statement("SELECT pg_sleep(60)"))
    await eventually("it sleeps", async () => (await sleeping()) === 1)
    proxy.stall()
    try {
      await Effect.runPromise(Fiber.interrupt(fiber))
    } finally {
      proxy.resume()
    }
    expect(await runPromise(backend)).not.toBe(before)
    await server.query(`SELECT pg_terminate_backend(${before})`)
    await eventually("it no longer sleeps", async () => (await sleeping()) === 0)
  })

  test("a fiber interrupted while it waits for a connection takes none", async () => {
    const { runPromise, runFork } = open({ poolSize: 1 })
    await runPromise(checkpoint)
    const holder = runFork(statement("SELECT pg_sleep(60)"))
    await eventually("it sleeps", async () => (await sleeping()) === 1)
    const waiters = [1, 2, 3].map(() => runFork(statement("SELECT 1")))
    for (const waiter of waiters) await Effect.runPromise(Fiber.interrupt(waiter))
    await Effect.runPromise(Fiber.interrupt(holder))
    expect(await runPromise(statement("SELECT 1 AS one"))).toEqual([{ one: 1 }])
  })

  test("a refusal at the beginning of a large copy leaves the connection usable", async () => {
    const { runPromise } = open({ poolSize: 1 })
    await runPromise(statement("CREATE TABLE many (n integer PRIMARY KEY, label text)"))
    const before = await runPromise(backend)
    const text = copyText(Array.from({ length: 200_000 }, (_, n) => [n === 1 ? 0 : n, "x".repeat(50)]))
    const error = await runPromise(Effect.flip(BulkCopy.use(({ copy }) => copy("many", ["n", "label"], text))))
    expect(error.reason._tag).toBe("UniqueViolation")
    expect(await runPromise(backend)).toBe(before)
  })

  test("an interrupted copy ends", async () => {
    const { runPromise, runFork } = open({ poolSize: 1 })
    await runPromise(statement("CREATE TABLE many (n integer PRIMARY KEY, label text)"))
    const text = copyText(Array.from({ length: 300_000 }, (_, n) => [n, "x".repeat(50)]))
    const fiber = runFork(BulkCopy.use(({ copy }) => copy("many", ["n", "label"], text)))
    await eventually("it copies", async () => (await copying()) === 1)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(await runPromise(statement("SELECT count(*) AS count FROM many"))).toEqual([{ count: 0 }])
  })

  test("every session has our settings, and can be reserved", async () => {
    const { runPromise } = open({ schema: "tidemark", statementTimeout: "7 seconds", lockTimeout: "3 seconds" })
    const rows = await runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* (yield* sql).reserve
          return yield* connection.executeValues(
            `SELECT name, setting FROM pg_settings WHERE name IN ('application_name', 'search_path', 'TimeZone', 'DateStyle',
              'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY lower(name)`,
            [],
          )
        }),
      ),
    )
    expect(Object.fromEntries(rows as ReadonlyArray<[string, string]>)).toEqual({
      application_name: "tidemark",
      DateStyle: "ISO, MDY",
      idle_in_transaction_session_timeout: "10000",
      lock_timeout: "3000",
      search_path: "tidemark",
      statement_timeout: "7000",
      TimeZone: "UTC",
    })
  })
})
