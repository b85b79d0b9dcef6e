/**
 * Asks in a process of its own, as a service does that answers and doesn't project, and prints how long it took as JSON.
 *
 * Arguments: URL of the nats-server, URL of the PostgreSQL.
 */
import { Effect, Layer, Redacted } from "effect"
import { Analytics } from "../../src/app/Analytics.ts"
import { layerServers } from "../../src/app/servers.ts"
import { measureQueries } from "./queries.ts"

const [nats, postgres] = process.argv.slice(2) as [string, string]

const layer = Analytics.layer.pipe(
  Layer.provideMerge(layerServers({ nats: { servers: nats }, postgres: { url: Redacted.make(postgres) } })),
)

process.stdout.write(JSON.stringify(await Effect.runPromise(Effect.provide(measureQueries, layer))))
