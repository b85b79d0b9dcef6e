/**
 * A worker as a process of its own: says its memory in one line of JSON several times a second, and ends on SIGTERM.
 *
 * Arguments: URL of the nats-server, URL of the PostgreSQL.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { beWorker, untilStopped } from "../../src/app/worker/untilStopped.ts"
import { layerWorker } from "../../src/app/worker/worker.ts"
import { layerJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlOperations } from "../../src/infra/sql/SqlOperations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"

const [nats, postgres] = process.argv.slice(2) as [string, string]
const url = Redacted.make(postgres)

const store = layerSqlOperations.pipe(
  Layer.provideMerge(layerSqlReadModel),
  Layer.provideMerge(layerPostgres({ url, poolSize: 6 })),
  Layer.provideMerge(layerJetStreamLog({ servers: nats })),
)

const say = Effect.sync(() => writeSync(1, `${JSON.stringify({ maxRssKiB: process.resourceUsage().maxRSS })}\n`))

Effect.scoped(
  Effect.gen(function* () {
    yield* say.pipe(Effect.repeat(Schedule.spaced("200 millis")), Effect.forkScoped)
    return yield* beWorker
  }),
).pipe(
  Effect.provide(layerWorker(layerPostgres({ url, poolSize: 2 })).pipe(Layer.provide(store))),
  untilStopped,
  NodeRuntime.runMain,
)
