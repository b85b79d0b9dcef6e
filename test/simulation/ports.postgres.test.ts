import { Layer, ManagedRuntime, Redacted } from "effect"
import { afterAll, beforeAll, vi } from "vitest"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { ownershipContract } from "./ownership.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let server: PostgresServer
let close = async (): Promise<void> => {}
let readModel: ReadModel["Service"]

beforeAll(async () => {
  server = await startPostgres({ fsync: false })
  const client = layerPostgres({ url: Redacted.make(server.url()) })
  const runtime = ManagedRuntime.make(layerSqlReadModel.pipe(Layer.provideMerge(client)))
  close = () => runtime.dispose()
  readModel = await runtime.runPromise(ReadModel)
})

afterAll(async () => {
  await close()
  await server.dispose()
})

ownershipContract("PostgreSQL", async () => readModel)
