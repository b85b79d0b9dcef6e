import { Context, Effect, Layer } from "effect"
import { layerJetStreamLog, type OpenLogError } from "../../infra/nats/JetStreamLog.ts"
import { LogWriter } from "../LogWriter.ts"
import type { ServersOptions } from "../servers.ts"
import { Tracker, type TrackerOptions } from "../Tracker.ts"
import type { SpoolUnavailable } from "./errors.ts"
import { type Connect, Spool, type SpoolOptions } from "./Spool.ts"

/** How long the log is tried before events wait elsewhere. */
const PATIENCE = "2 seconds"

/** A tracker of a project on servers: while the log is away, what it takes waits in a spool. */
export const layerSpooledTracker = (
  nats: ServersOptions["nats"],
  spool: SpoolOptions,
  options: TrackerOptions = {},
): Layer.Layer<Tracker | Spool, SpoolUnavailable | OpenLogError> => {
  const writer = LogWriter.layer.pipe(Layer.provide(layerJetStreamLog({ patience: PATIENCE, ...nats })))
  const connect: Connect<OpenLogError> = Effect.map(Layer.build(Layer.fresh(writer)), Context.get(LogWriter))
  return Layer.unwrap(Effect.map(Spool, ({ append }) => Tracker.layerTo(append, options))).pipe(
    Layer.provideMerge(Spool.layer(spool, connect, mayPass)),
  )
}

/** Whether a log that can't be reached may be reached later, with nobody changing anything here. */
const mayPass = (error: OpenLogError): boolean =>
  error._tag === "NatsUnreachable" || (error._tag === "LogUnavailable" && error.retryable)
