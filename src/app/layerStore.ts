import type { Layer } from "effect"
import type { Configuration } from "./config/Configuration.ts"
import type { EventLog } from "../domain/log/EventLog.ts"
import type { Quarantine } from "../domain/log/Quarantine.ts"
import { layerEmbedded, layerEmbeddedLog, type OpenError } from "./embedded.ts"
import { layerServers, layerServersLog, type ServersError } from "./servers.ts"
import type { Store } from "./store.ts"

type Place = Pick<Configuration, "servers" | "directory" | "asOfDirectory">

/** The store that a configuration names. */
export const layerStore = ({
  servers,
  directory,
  asOfDirectory,
}: Place): Layer.Layer<Store, OpenError | ServersError> =>
  servers === null ? layerEmbedded({ directory, asOfDirectory }) : layerServers({ ...servers, asOfDirectory })

/** The same store, with this many partitions if its log is made now. */
export const layerStoreOf = (
  partitions: number,
  { servers, directory, asOfDirectory }: Place,
): Layer.Layer<Store, OpenError | ServersError> =>
  servers === null
    ? layerEmbedded({ directory, asOfDirectory, partitions })
    : layerServers({ ...servers, asOfDirectory, nats: { ...servers.nats, partitions } })

/** Its log and its quarantine alone: the read model is not opened, and may be broken or not there. */
export const layerLog = ({
  servers,
  directory,
}: Pick<Place, "servers" | "directory">): Layer.Layer<EventLog | Quarantine, OpenError | ServersError> =>
  servers === null ? layerEmbeddedLog({ directory }) : layerServersLog(servers)
