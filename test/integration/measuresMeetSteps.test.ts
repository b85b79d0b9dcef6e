import { Effect, Layer, ManagedRuntime, Redacted, Stream } from "effect"
import type { SqlClient } from "effect/sql"
import pg from "pg"
import { afterAll, beforeAll, expect, test } from "vitest"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { countAllPersons } from "../../src/app/projection/countPersons.ts"
import { liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition } from "../../src/app/projection/PartitionProjection.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { verify } from "../../src/app/verify/verify.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../src/infra/sql/SqlReadModelQueries.ts"
import { layerArrayLog } from "../support/arrayLog.ts"
import { eventually } from "../support/eventually.ts"
import { eventOf } from "../support/meetings.ts"
import { type PostgresServer, startPostgres } from "../support/postgresServer.ts"
import { emptied } from "../support/emptied.ts"

/** Metrics are applied while somebody projects: no step may be committed that does not know of them. */

const CLICKS: MetricDefinition = { name: "clicks", version: 1, formula: { kind: "active-users" } }

let server: PostgresServer
let runtime: ManagedRuntime.ManagedRuntime<ReadModel | ReadModelQueries | SqlClient.SqlClient, unknown>

beforeAll(async () => {
  server = await startPostgres({ fsync: false })
  runtime = ManagedRuntime.make(
    layerSqlReadModelQueries.pipe(
      Layer.provideMerge(layerSqlReadModel),
      Layer.provideMerge(layerPostgres({ url: Redacted.make(server.url()) })),
    ),
  )
})

afterAll(async () => {
  await runtime.dispose()
  await server.dispose()
})

const click = (userId: string) =>
  eventOf({
    id: `of ${userId}`,
    kind: "track",
    name: "click",
    userId,
    time: Date.parse("2024-06-15T12:00:00Z"),
    body: {},
  })

const groupNow = Effect.gen(function* () {
  const readModel = yield* ReadModel
  return liveGroup(yield* readModel.measures, TimeZone.utc)
})

const takeAll = Effect.fnUntraced(function* (group: Effect.Success<typeof groupNow>) {
  const projection = yield* claimPartition(group, 0, DEFAULT_SETTINGS, "owner")
  const after = projection.checkpoint()?.position.sequence ?? 0
  yield* readBatches(0, { after, chain: projection.chain }).pipe(Stream.runForEach(projection.take))
  return projection
})

test("metrics that come during the very first step: it is refused, and counts nothing without them", () =>
  runtime.runPromise(
    Effect.gen(function* () {
      const readModel = yield* ReadModel
      const writer = yield* LogWriter
      yield* emptied(readModel, DEFAULT_SETTINGS)
      yield* readModel.register(Object.values(BUILTIN_METRICS))
      yield* writer.append([click("ann")])
      const early = yield* takeAll(yield* groupNow)
      const versions = yield* readModel.register([CLICKS])
      expect(versions.find(({ definition }) => definition.name === "clicks")!.state).toBe("live")
      expect(yield* Effect.flip(early.commit())).toMatchObject({ _tag: "CheckpointConflict" })
      yield* (yield* takeAll(yield* groupNow)).commit()
      yield* countAllPersons(LIVE_GROUP)
      yield* readModel.markWhole((yield* readModel.made)!)
      expect(yield* verify()).toMatchObject({ events: 1, differences: [] })
    }).pipe(Effect.provide(Layer.provideMerge(LogWriter.layer, layerArrayLog(1)))),
  ))

test("nobody claims a partition while the set of metrics changes", async () => {
  const changing = new pg.Client(server.url())
  await changing.connect()
  try {
    await changing.query("BEGIN; LOCK TABLE tidemark.measures IN SHARE ROW EXCLUSIVE MODE")
    const claiming = runtime.runPromise(Effect.flatMap(ReadModel, (readModel) => readModel.claim("live", 0, "owner")))
    await eventually("the claim waits", async () => {
      const [row] = await server.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
      return row.n === 1
    })
    await changing.query("COMMIT")
    expect((await claiming).epoch).toBeGreaterThan(0)
  } finally {
    await changing.end()
  }
})
