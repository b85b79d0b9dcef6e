import { hostname } from "node:os"
import { Layer, Logger } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"
import type { Configuration } from "../config/Configuration.ts"

/** Logs as JSON where no person reads along, or as configured; on standard error, since standard output is for answers. */
export const layerLogs = ({ logFormat }: Pick<Configuration, "logFormat">): Layer.Layer<never> => {
  const asJson = (logFormat ?? (process.stderr.isTTY ? "text" : "json")) === "json"
  return Layer.merge(
    Logger.layer([asJson ? Logger.withConsoleError(Logger.formatJson) : Logger.consolePretty()]),
    Layer.succeed(Logger.LogToStderr, true),
  )
}

/** Sends traces and metrics to an OpenTelemetry collector, if one is configured. */
export const layerOtlp = ({ otlpUrl }: Pick<Configuration, "otlpUrl">): Layer.Layer<never> => {
  if (otlpUrl === null) return Layer.empty
  const base = otlpUrl.replace(/\/+$/, "")
  const resource = { serviceName: "tidemark", attributes: { "host.name": hostname(), "process.pid": process.pid } }
  return Layer.mergeAll(
    OtlpTracer.layer({ url: `${base}/v1/traces`, resource }),
    OtlpMetrics.layer({ url: `${base}/v1/metrics`, resource }),
  ).pipe(Layer.provide(OtlpSerialization.layerJson), Layer.provide(FetchHttpClient.layer))
}

/** How a process tells of itself. */
export const layerTelemetry = (configuration: Pick<Configuration, "logFormat" | "otlpUrl">): Layer.Layer<never> =>
  Layer.merge(layerLogs(configuration), layerOtlp(configuration))
