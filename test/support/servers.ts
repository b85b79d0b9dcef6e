import { startNatsServer, type NatsServer } from "./natsServer.ts"
import { type PostgresServer, startPostgres } from "./postgresServer.ts"

/** The servers of a project: a log and a read model. */
export interface Servers {
  readonly nats: NatsServer
  readonly postgres: PostgresServer
  /** What moves the program to them. */
  readonly env: Readonly<Record<string, string>>
  readonly dispose: () => Promise<void>
}

export const startServers = async (): Promise<Servers> => {
  const [nats, postgres] = await Promise.all([startNatsServer(), startPostgres({ fsync: false })])
  return {
    nats,
    postgres,
    env: { TIDEMARK_NATS_URL: nats.url, TIDEMARK_POSTGRES_URL: postgres.url() },
    dispose: async () => {
      await Promise.all([nats.close(), postgres.dispose()])
    },
  }
}
