import { join } from "node:path"
import { Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql"
import { EventLog } from "../domain/log/EventLog.ts"
import type { ReadModelUnavailable } from "../domain/projection/errors.ts"
import type { ReadModel } from "../domain/projection/ReadModel.ts"
import type { StoreInUse, StoreNewer, StoreUnavailable } from "../infra/embedded/errors.ts"
import { layerPglite } from "../infra/embedded/PgliteClient.ts"
import { openSqliteLog } from "../infra/embedded/SqliteLog.ts"
import { lockStore } from "../infra/embedded/StoreLock.ts"
import { layerSqlReadModel } from "../infra/sql/SqlReadModel.ts"
import { LogWriter } from "./LogWriter.ts"
import { Projector } from "./Projector.ts"

/** Where an embedded store is, and how it is made when it isn't there yet. */
export interface EmbeddedOptions {
  readonly directory: string
  /** Partitions of a new log; an existing one keeps its own. Default 1, which suits a single process best. */
  readonly partitions?: number
}

export type OpenError = StoreInUse | StoreUnavailable | StoreNewer | ReadModelUnavailable

/** The log of an embedded store, locked for this process. */
const layerLog = ({ directory, partitions = 1 }: EmbeddedOptions) =>
  Layer.effect(
    EventLog,
    Effect.gen(function* () {
      yield* lockStore(directory)
      return (yield* openSqliteLog(directory, { partitions })).log
    }),
  )

/** The read model's database; asks for the log first, and with it for the lock. */
const layerLockedPglite = (directory: string) =>
  Layer.unwrap(Effect.map(EventLog, () => layerPglite(join(directory, "postgres"))))

/** Everything that a project needs, in this process and one directory: `log.db` and the read model below `postgres`. */
export const layerEmbedded = (
  options: EmbeddedOptions,
): Layer.Layer<EventLog | LogWriter | ReadModel | Projector | SqlClient.SqlClient, OpenError> =>
  Projector.layer.pipe(
    Layer.provideMerge(layerSqlReadModel),
    Layer.provideMerge(layerLockedPglite(options.directory)),
    Layer.provideMerge(LogWriter.layer),
    Layer.provideMerge(layerLog(options)),
  )
