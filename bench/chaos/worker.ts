/** A worker on the servers that the environment names, until it is told to end. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { readConfiguration } from "../../src/app/config/Configuration.ts"
import { layerServers } from "../../src/app/servers.ts"
import { untilStopped } from "../../src/app/worker/untilStopped.ts"
import { layerWorker } from "../../src/app/worker/worker.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"

NodeRuntime.runMain(
  Effect.gen(function* () {
    const { servers } = yield* readConfiguration({ environment: process.env })
    const leases = layerPostgres({ ...servers!.postgres, poolSize: 1 })
    return yield* Effect.provide(
      Effect.scoped(untilStopped),
      layerWorker(leases).pipe(Layer.provide(layerServers(servers!))),
    )
  }),
)
