import { Layer, ManagedRuntime, Redacted } from "effect"
import { Analytics } from "../../src/app/Analytics.ts"
import { layerServers, type ServersError } from "../../src/app/servers.ts"
import type { Store } from "../../src/app/store.ts"
import { type CpuSeconds, cpuOfFamily, cpuOfThis } from "./cpu.ts"
import { startNatsServer } from "../../test/support/natsServer.ts"
import { startPostgres } from "../../test/support/postgresServer.ts"

/** Servers of the bench's own, on free ports, and a project's store on them. */
export interface Stage {
  readonly natsUrl: string
  readonly postgresUrl: string
  /** Seconds of processor time that this process and PostgreSQL have used so far. */
  readonly usedCpu: () => CpuSeconds
  readonly runtime: ManagedRuntime.ManagedRuntime<Store | Analytics, ServersError>
  readonly close: () => Promise<void>
}

/**
 * As an operator would set them: PostgreSQL syncs every commit, and has the memory that small servers give it; the
 * nats-server is as it comes, which syncs every two minutes.
 */
const POSTGRES_SETTINGS = { shared_buffers: "512MB", max_wal_size: "4GB", checkpoint_timeout: "15min" }

/** One for each partition that a replay works on at once, and some for queries. */
const POOL_SIZE = 6

export const openStage = async (): Promise<Stage> => {
  const [nats, postgres] = await Promise.all([startNatsServer(), startPostgres({ settings: { ...POSTGRES_SETTINGS } })])
  const postgresUrl = postgres.url()
  const runtime = ManagedRuntime.make(
    Analytics.layer.pipe(
      Layer.provideMerge(
        layerServers({
          nats: { servers: nats.url },
          postgres: { url: Redacted.make(postgresUrl), poolSize: POOL_SIZE },
        }),
      ),
    ),
  )
  return {
    natsUrl: nats.url,
    postgresUrl,
    usedCpu: () => ({ node: cpuOfThis(), postgres: cpuOfFamily(postgres.pid()) }),
    runtime,
    close: async () => {
      await runtime.dispose()
      await nats.close()
      await postgres.dispose()
    },
  }
}
