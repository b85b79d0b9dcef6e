import { Deferred, Effect, Fiber, Layer, ManagedRuntime, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ALL_PARTITIONS, Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlOperations } from "../../src/infra/sql/SqlOperations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { emptied } from "../support/emptied.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"

let server: PostgresServer
let runtime: ManagedRuntime.ManagedRuntime<ReadModel | Operations | SqlClient.SqlClient, unknown>
beforeAll(async () => {
  server = await startPostgres({ fsync: false })
  runtime = ManagedRuntime.make(
    layerSqlOperations.pipe(
      Layer.provideMerge(layerSqlReadModel),
      Layer.provideMerge(layerPostgres({ url: Redacted.make(server.url()) })),
    ),
  )
})
afterAll(async () => {
  await runtime.dispose()
  await server.dispose()
})

test("who claims a partition for the first time while a pause waits for a step finds the pause", async () => {
  const outlook = await runtime.runPromise(
    Effect.gen(function* () {
      const readModel = yield* ReadModel
      const operations = yield* Operations
      const sql = yield* SqlClient.SqlClient
      yield* emptied(readModel, DEFAULT_SETTINGS)
      yield* readModel.claim(LIVE_GROUP, 0, "a")

      // A step that is being committed, as far as it is about claims.
      const held = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const step = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql`SELECT FROM checkpoints WHERE partition = 0 FOR UPDATE`
            yield* Deferred.succeed(held, undefined)
            yield* Deferred.await(release)
          }),
        )
        .pipe(Effect.forkChild)
      yield* Deferred.await(held)

      const pause = { group: null, partition: ALL_PARTITIONS, cause: "operator", sentence: "Enough." } as const
      const pausing = yield* Effect.forkChild(operations.pause(pause))
      yield* waiting(1)
      const claiming = yield* Effect.forkChild(Effect.andThen(readModel.claim(LIVE_GROUP, 1, "b"), operations.look))
      yield* waiting(2)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(step)
      yield* Fiber.join(pausing)
      return yield* Fiber.join(claiming)
    }),
  )
  expect(outlook.pauses).toMatchObject([{ cause: "operator" }])
})

/** Until so many sessions wait for a lock; the claim must not get through meanwhile. */
const waiting = (sessions: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly count: number }>`
      SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'`
    return row!.count
  }).pipe(Effect.repeat({ until: (count) => count === sessions }), Effect.timeout("20 seconds"))
