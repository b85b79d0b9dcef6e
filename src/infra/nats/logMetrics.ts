import { Effect, Metric } from "effect"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/** What went wrong between this process and the log and was put right. */
export const logMetrics = {
  disconnects: counter("tidemark_log_disconnects_total", "Connections to the log's server that were lost."),
  reconnects: counter("tidemark_log_reconnects_total", "Connections to the log's server that came back."),
  serverErrors: counter("tidemark_log_server_errors_total", "Errors that the log's server sent unasked."),
  publishRetries: counter("tidemark_log_publish_retries_total", "Batches sent again, since no answer came."),
  duplicates: counter("tidemark_log_publish_duplicates_total", "Batches sent again that the log had already."),
  readerResets: counter("tidemark_log_reader_resets_total", "Deliveries begun anew from the last record read."),
  heartbeatsMissed: counter("tidemark_log_heartbeats_missed_total", "Pulls that the log's server left unanswered."),
} as const

/** Counts one. */
export const count = (name: keyof typeof logMetrics) => Metric.update(logMetrics[name], 1)

/** Begins all of them at 0, so that those of which nothing was counted yet are shown too. */
export const startLogMetrics: Effect.Effect<void> = Effect.forEach(
  Object.values(logMetrics),
  (metric) => Metric.update(metric, 0),
  { discard: true },
)
