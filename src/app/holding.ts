import { Effect, type Exit, Layer } from "effect"
import { Analytics } from "./Analytics.ts"
import type { Configuration } from "./config/Configuration.ts"
import { type Held, holdLayer } from "./holdLayer.ts"
import { layerStore } from "./layerStore.ts"
import type { ServersOptions } from "./servers.ts"
import { layerSpooledTracker } from "./spool/layerSpooledTracker.ts"
import { Spool } from "./spool/Spool.ts"
import type { Store } from "./store.ts"
import { Tracker, type TrackerOptions } from "./Tracker.ts"

/** What a program holds while it is open. */
export interface Holding {
  readonly tracking: Held<Tracker, unknown>
  readonly asking: Held<Analytics | Store, unknown>
  /** Brings everything that was tracked into the log. */
  readonly upToDate: () => Promise<Exit.Exit<void, unknown>>
  readonly letGo: () => Promise<void>
}

/** Holds what the configuration names. */
export const hold = (configuration: Configuration, options: TrackerOptions): Holding =>
  configuration.servers === null
    ? holdEmbedded(configuration, options)
    : holdServers(configuration, configuration.servers, options)

/** One process has the store to itself, so tracker and questions share it. */
const holdEmbedded = (configuration: Configuration, options: TrackerOptions): Holding => {
  const held = holdLayer(
    Layer.mergeAll(Tracker.layer(options), Analytics.layer).pipe(Layer.provideMerge(layerStore(configuration))),
  )
  return {
    tracking: held,
    asking: held,
    upToDate: () => held.runExit(Tracker.use((tracker) => tracker.flush)),
    letGo: held.letGo,
  }
}

/** The tracker goes on while the log is away; what questions need is opened with the first of them. */
const holdServers = (configuration: Configuration, { nats }: ServersOptions, options: TrackerOptions): Holding => {
  const tracking = holdLayer(layerSpooledTracker(nats, configuration.spool, options))
  const asking = holdLayer(Analytics.layer.pipe(Layer.provideMerge(layerStore(configuration))))
  const flushed = Effect.gen(function* () {
    yield* (yield* Tracker).flush
    yield* (yield* Spool).drain
  })
  return {
    tracking,
    asking,
    upToDate: () => tracking.runExit(flushed),
    letGo: async () => {
      await tracking.letGo()
      await asking.letGo()
    },
  }
}
