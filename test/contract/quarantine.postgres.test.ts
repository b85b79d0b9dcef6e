import { Context, Effect, Layer, Redacted } from "effect"
import pg from "pg"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Quarantine } from "../../src/domain/log/Quarantine.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import type { PostgresOptions } from "../../src/infra/postgres/options.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlQuarantine } from "../../src/infra/sql/SqlQuarantine.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { quarantineContract } from "./quarantine.ts"
import { emptied } from "../support/emptied.ts"

let server: PostgresServer
let schemas = 0

beforeAll(async () => {
  server = await startPostgres({ fsync: false })
})
afterAll(() => server.dispose())

const layerIn = (schema: string, options: Partial<PostgresOptions> = {}) =>
  Layer.mergeAll(layerSqlQuarantine, layerSqlReadModel).pipe(
    Layer.provideMerge(layerPostgres({ url: Redacted.make(server.url()), schema, ...options })),
  )

quarantineContract("the quarantine in PostgreSQL", () => {
  const schema = `quarantine_${++schemas}`
  return Effect.suspend(() => Effect.map(Layer.build(Layer.fresh(layerIn(schema))), Context.get(Quarantine)))
})

test("it outlives the read model: wiping that leaves every line", async () => {
  const held = await Effect.runPromise(
    Effect.gen(function* () {
      const quarantine = yield* Quarantine
      yield* quarantine.add([
        { source: "a", line: 1, reason: "not-json", detail: "", raw: "{", context: "{}", quarantinedAt: 1 },
      ])
      yield* ReadModel.use((readModel) => emptied(readModel, DEFAULT_SETTINGS))
      return yield* quarantine.list(0, 10)
    }).pipe(Effect.provide(layerIn("wiped"))),
  )
  expect(held).toHaveLength(1)
})

test("many processes that open it at once make its table once", async () => {
  const opening = Effect.scoped(Effect.asVoid(Layer.build(Layer.fresh(layerIn("shared")))))
  await Effect.runPromise(
    Effect.all(
      Array.from({ length: 6 }, () => opening),
      { concurrency: "unbounded" },
    ),
  )
  const [row] = await server.query("SELECT count(*)::int AS made FROM shared.server_migrations")
  expect(row).toEqual({ made: 4 })
})

test("an upgrade that somebody else's transaction keeps waiting says so, and works when that has ended", async () => {
  const opening = Layer.build(Layer.fresh(layerIn("upgraded", { lockTimeout: "100 millis" }))).pipe(
    Effect.asVoid,
    Effect.scoped,
  )
  await Effect.runPromise(opening)
  await server.query("DELETE FROM upgraded.server_migrations WHERE migration_id = 4")
  const other = new pg.Client(server.url())
  await other.connect()
  await other.query("BEGIN; SELECT count(*) FROM upgraded.quarantined_lines")
  expect(await Effect.runPromise(Effect.flip(opening))).toMatchObject({
    attempted: "make the tables beside the read model",
    reason: expect.stringMatching(/lock timeout: somebody else .* try again/),
    retryable: true,
  })
  await other.query("COMMIT")
  await other.end()
  await Effect.runPromise(opening)
})
