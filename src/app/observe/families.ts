/** A family of series whose values are read from somewhere at every look. */
export interface Family {
  readonly name: string
  readonly kind: "gauge" | "counter"
  readonly help: string
}

const gauge = (name: string, help: string): Family => ({ name, kind: "gauge", help })
const counter = (name: string, help: string): Family => ({ name, kind: "counter", help })

/** What a worker says of itself and of the partitions that it owns. Documented in docs/reference/worker-metrics.md. */
export const WORKER = {
  started: gauge("tidemark_worker_start_time_seconds", "When the worker began, in seconds since 1970."),
  partitions: gauge("tidemark_worker_partitions", "Partitions of the live group that this worker owns."),
  stopping: gauge("tidemark_worker_stopping", "1 while the worker finishes what it has in hand."),
  dependency: gauge("tidemark_worker_dependency_up", "1 while the log or PostgreSQL can be reached."),
  stops: gauge("tidemark_worker_stops", "Partitions of the project that can't go on until somebody acts."),
  phase: gauge("tidemark_partition_phase", "1 for what the partition's loop does now."),
  committed: counter("tidemark_partition_committed_events_total", "Events committed to the read model."),
  folded: counter("tidemark_partition_folded_events_total", "Events folded; those folded again after a failure twice."),
  failed: counter("tidemark_partition_failed_events_total", "Events that a metric could not fold."),
  pending: gauge("tidemark_partition_pending_events", "Events folded and not committed yet."),
  rate: gauge("tidemark_partition_events_per_second", "Events folded per second, over the last ten seconds."),
  oldestPending: gauge("tidemark_partition_oldest_pending_seconds", "Age of the oldest event read and not committed."),
  turned: gauge("tidemark_partition_loop_age_seconds", "How long ago the partition's loop last turned."),
} as const

/** What the log and the read model say of the partitions that this worker owns, looked at every few seconds. */
export const STORE = {
  lagEvents: gauge("tidemark_partition_lag_events", "Events in the log and not in the read model."),
  lagExact: gauge("tidemark_partition_lag_exact", "1 if those events were counted, 0 if they were estimated."),
  lagSeconds: gauge("tidemark_partition_lag_seconds", "Age of the oldest event that is not in the read model."),
  balance: gauge(
    "tidemark_balance_events",
    "Events of the log by what became of them: accepted = projected + duplicates + quarantined + lag.",
  ),
  conflicts: gauge("tidemark_partition_conflict_events", "Repeats that say something else than the copy that counts."),
  quarantine: gauge("tidemark_quarantine_lines", "Lines that the door turned away and that wait, by reason."),
  unfolded: gauge("tidemark_quarantine_events", "Events in the log that a metric could not take in."),
  age: gauge("tidemark_store_sample_age_seconds", "How long ago the log and the read model were last looked at."),
} as const

/** What the operating system says of the process. */
export const PROCESS = {
  memory: gauge("process_resident_memory_bytes", "Memory that the process has, in bytes."),
  heap: gauge("nodejs_heap_size_used_bytes", "Memory that JavaScript objects take, in bytes."),
  cpu: counter("process_cpu_seconds_total", "Time that processors spent on the process, in seconds."),
} as const
