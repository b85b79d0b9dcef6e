import { join } from "node:path"
import { Layer } from "effect"
import type { EventLog } from "../domain/log/EventLog.ts"
import type { Quarantine } from "../domain/log/Quarantine.ts"
import type { ReadModelUnavailable } from "../domain/projection/errors.ts"
import { type JetStreamLogOptions, layerJetStreamLog, type OpenLogError } from "../infra/nats/JetStreamLog.ts"
import { PROJECT_DEFAULT } from "../infra/nats/streamConfig.ts"
import type { PostgresUnavailable } from "../infra/postgres/errors.ts"
import type { PostgresOptions } from "../infra/postgres/options.ts"
import { layerPostgres } from "../infra/postgres/PostgresClient.ts"
import { layerSchemaOf } from "../infra/sql/serverTables.ts"
import { layerSqlOperations } from "../infra/sql/SqlOperations.ts"
import { layerSqlQuarantine } from "../infra/sql/SqlQuarantine.ts"
import { layerSqlReadModel } from "../infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../infra/sql/SqlReadModelQueries.ts"
import { layerSqlWorkerReports } from "../infra/sql/SqlWorkerReports.ts"
import { Replays } from "./asOf/Replays.ts"
import { LogWriter } from "./LogWriter.ts"
import type { Store } from "./store.ts"
import { layerProjectorBesideWorkers } from "./worker/besideWorkers.ts"

/** Where the log and the read model of a project are. */
export interface ServersOptions {
  readonly nats: JetStreamLogOptions
  readonly postgres: PostgresOptions
  /** Where replays for answers as of an earlier place are kept; default `.tidemark/as-of`. */
  readonly asOfDirectory?: string
}

export type ServersError = OpenLogError | PostgresUnavailable | ReadModelUnavailable

/**
 * Everything that a project needs, on servers: the log in NATS JetStream, the read model and the quarantine in
 * PostgreSQL. Any number of processes may use them at once.
 */
export const layerServers = ({
  nats,
  postgres,
  asOfDirectory = join(".tidemark", "as-of"),
}: ServersOptions): Layer.Layer<Store, ServersError> =>
  layerProjectorBesideWorkers.pipe(
    // The log comes last of all: streams are made only where the rest is in order.
    Layer.provideMerge(LogWriter.layer),
    Layer.provideMerge(Replays.layer(asOfDirectory)),
    Layer.provideMerge(layerJetStreamLog(nats)),
    Layer.provideMerge(layerSqlReadModelQueries),
    Layer.provideMerge(layerSqlOperations),
    Layer.provideMerge(layerSqlReadModel),
    Layer.provideMerge(layerSqlQuarantine),
    Layer.provideMerge(layerSqlWorkerReports),
    Layer.provideMerge(layerSchemaOf(nats.project ?? PROJECT_DEFAULT)),
    Layer.provideMerge(layerPostgres(postgres)),
  )

/** The log and the quarantine alone. */
export const layerServersLog = ({ nats, postgres }: ServersOptions): Layer.Layer<EventLog | Quarantine, ServersError> =>
  layerJetStreamLog(nats).pipe(
    Layer.provideMerge(layerSqlQuarantine),
    Layer.provide(layerSchemaOf(nats.project ?? PROJECT_DEFAULT)),
    Layer.provide(layerPostgres(postgres)),
  )
