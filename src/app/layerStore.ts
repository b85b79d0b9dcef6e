import type { Layer } from "effect"
import type { Configuration } from "./config/Configuration.ts"
import { layerEmbedded, type OpenError } from "./embedded.ts"
import { layerServers, type ServersError } from "./servers.ts"
import type { Store } from "./store.ts"

/** The store that a configuration names. */
export const layerStore = ({
  servers,
  directory,
  asOfDirectory,
}: Pick<Configuration, "servers" | "directory" | "asOfDirectory">): Layer.Layer<Store, OpenError | ServersError> =>
  servers === null ? layerEmbedded({ directory, asOfDirectory }) : layerServers({ ...servers, asOfDirectory })
