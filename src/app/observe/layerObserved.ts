import { Effect, Layer } from "effect"
import type { Configuration } from "../config/Configuration.ts"
import type { Store } from "../store.ts"
import type { WorkerState } from "../worker/WorkerState.ts"
import { type HttpUnavailable, layerHttp } from "./httpServer.ts"
import { Observation } from "./Observation.ts"
import { layerReports } from "./publishReports.ts"

/** Lets a worker be watched: its reports for `status`, and its health and metrics over HTTP where that is configured. */
export const layerObserved = ({
  http,
  readyLagSeconds,
}: Pick<Configuration, "http" | "readyLagSeconds">): Layer.Layer<never, HttpUnavailable, WorkerState | Store> => {
  const observation = Observation.layer(readyLagSeconds)
  return Layer.merge(
    layerReports,
    http === null
      ? Layer.effectDiscard(Effect.void).pipe(Layer.provide(observation))
      : Layer.provide(layerHttp(http), observation),
  )
}
