import { existsSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { EventLog } from "../domain/log/EventLog.ts"
import { Quarantine } from "../domain/log/Quarantine.ts"
import { ReadModel } from "../domain/projection/ReadModel.ts"
import { WorkerReports } from "../domain/projection/WorkerReports.ts"
import { type StoreInUse, type StoreNewer, StoreUnavailable } from "../infra/embedded/errors.ts"
import { layerPglite } from "../infra/embedded/PgliteClient.ts"
import { LOG_FILE, openSqliteLog } from "../infra/embedded/SqliteLog.ts"
import { makeSqliteQuarantine } from "../infra/embedded/SqliteQuarantine.ts"
import { lockStore } from "../infra/embedded/StoreLock.ts"
import { layerSqlOperations } from "../infra/sql/SqlOperations.ts"
import { layerSqlReadModelQueries } from "../infra/sql/SqlReadModelQueries.ts"
import { layerSqlReadModel } from "../infra/sql/SqlReadModel.ts"
import { Replays } from "./asOf/Replays.ts"
import { LogWriter } from "./LogWriter.ts"
import { Projector } from "./projection/Projector.ts"
import type { Store } from "./store.ts"

/** Where an embedded store is, and how it is made when it isn't there yet. */
export interface EmbeddedOptions {
  readonly directory: string
  /** Partitions of a new log; an existing one keeps its own. Default 1, which suits a single process best. */
  readonly partitions?: number
  /** Where replays for answers as of an earlier place are kept; default `as-of` in the directory. */
  readonly asOfDirectory?: string
}

export type OpenError = StoreInUse | StoreUnavailable | StoreNewer

/** Whether a directory holds a store. */
export const hasStore = (directory: string): boolean => existsSync(join(directory, LOG_FILE))

/** The log of an embedded store, locked for this process, and the quarantine beside it. */
export const layerEmbeddedLog = ({ directory, partitions = 1 }: EmbeddedOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* lockStore(directory)
      const { log, database } = yield* openSqliteLog(directory, { partitions })
      return Context.make(EventLog, log).pipe(Context.add(Quarantine, makeSqliteQuarantine(database)))
    }),
  )

/** The read model's database; asks for the log first, and with it for the lock. */
const layerLockedPglite = (directory: string) =>
  Layer.unwrap(Effect.map(EventLog, () => layerPglite(join(directory, "postgres"))))

/** The read model; tables that can't be used, such as those of a newer version, are a store that can't be opened. */
const layerReadModel = (directory: string) =>
  layerSqlReadModel.pipe(
    Layer.catchTag("ReadModelUnavailable", ({ reason }) =>
      Layer.effect(ReadModel, Effect.fail(new StoreUnavailable({ directory, reason }))),
    ),
  )

/** Everything that a project needs, in this process and one directory: `log.db` and the read model below `postgres`. */
export const layerEmbedded = (options: EmbeddedOptions): Layer.Layer<Store, OpenError> =>
  Projector.layer.pipe(
    Layer.provideMerge(layerSqlReadModelQueries),
    Layer.provideMerge(layerSqlOperations),
    Layer.provideMerge(layerReadModel(options.directory)),
    Layer.provideMerge(layerLockedPglite(options.directory)),
    Layer.provideMerge(WorkerReports.layerNone),
    Layer.provideMerge(LogWriter.layer),
    Layer.provideMerge(Replays.layer(options.asOfDirectory ?? join(options.directory, "as-of"))),
    Layer.provideMerge(layerEmbeddedLog(options)),
  )
