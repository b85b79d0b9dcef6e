import { jetstreamManager } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import { openJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { type NatsServer, startNatsServer } from "../support/natsServer.ts"
import { eventLogContract, type LogHome } from "./eventLog.ts"

let server: NatsServer
let nats: NatsConnection

beforeAll(async () => {
  server = await startNatsServer()
  nats = await connect({ servers: server.url })
})

afterAll(async () => {
  await nats.close()
  await server.close()
})

let homes = 0

/** A project of its own in the one server. */
const makeHome = async (): Promise<LogHome> => {
  const project = `contract_${++homes}`
  const manager = await jetstreamManager(nats)
  return {
    open: ({ partitions }) =>
      Effect.map(openJetStreamLog({ servers: server.url, project, partitions }), (log) => ({
        log,
        remove: (_, sequence) =>
          Effect.promise(() => manager.streams.deleteMessage(`tidemark_${project}`, sequence, false)),
        // No message of a stream can be replaced; test/integration/logDamage.test.ts damages the files instead.
        damage: null,
      })),
  }
}

eventLogContract("the log in JetStream", makeHome)
