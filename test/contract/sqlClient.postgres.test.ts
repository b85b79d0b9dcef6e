import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, expect, test } from "vitest"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { bulkCopyContract } from "./bulkCopy.ts"
import { preparedIn } from "../support/preparedIn.ts"
import { sqlValuesContract } from "./sqlValues.ts"

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({ fsync: false })
})
// Registered before the contract's own, so it runs after them.
afterAll(() => server.dispose())

bulkCopyContract("PostgreSQL", () => layerPostgres({ url: Redacted.make(server.url()) }))
sqlValuesContract("PostgreSQL", () => layerPostgres({ url: Redacted.make(server.url()) }))

test("statements of transactions that only ask are planned once for each connection, those of others every time", async () => {
  const seen = await Effect.runPromise(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const once = sql`SELECT ${1}::int AS one`
      const steps = yield* preparedIn(once)
      return { steps, answers: yield* preparedIn(Effect.andThen(once, once), "READ ONLY") }
    }).pipe(Effect.provide(layerPostgres({ url: Redacted.make(server.url()), poolSize: 1 }))),
  )
  expect(seen).toEqual({ steps: 0, answers: 1 })
})
