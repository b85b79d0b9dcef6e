import { Redacted } from "effect"
import { afterAll, beforeAll } from "vitest"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { bulkCopyContract } from "./bulkCopy.ts"
import { sqlValuesContract } from "./sqlValues.ts"

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({ fsync: false })
})
// Registered before the contract's own, so it runs after them.
afterAll(() => server.dispose())

bulkCopyContract("PostgreSQL", () => layerPostgres({ url: Redacted.make(server.url()) }))
sqlValuesContract("PostgreSQL", () => layerPostgres({ url: Redacted.make(server.url()) }))
