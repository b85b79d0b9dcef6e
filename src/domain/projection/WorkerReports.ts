import { Context, Effect, Layer } from "effect"
import type { ReadModelUnavailable } from "./errors.ts"

/** What a worker says of one (group, partition) that it works on. */
export interface WorkerReport {
  readonly group: string
  readonly partition: number
  /** What its loop does. */
  readonly phase: string
  readonly eventsPerSecond: number
  /** A sentence that says what is wrong, and since when (ms); `null` while nothing is. */
  readonly trouble: { readonly sentence: string; readonly since: number } | null
}

/** A report as others read it. */
export interface ReceivedReport extends WorkerReport {
  readonly owner: string
  /** How long ago it was made, by the clock of who keeps the reports. */
  readonly ageSeconds: number
}

/**
 * What workers say of themselves to those who ask about all of them. Nothing depends on a report: who owns a partition
 * is decided by claims, and a worker that is gone leaves old ones.
 */
export class WorkerReports extends Context.Service<
  WorkerReports,
  {
    /** Puts what a worker says now in place of what it said before. */
    readonly publish: (owner: string, reports: ReadonlyArray<WorkerReport>) => Effect.Effect<void, ReadModelUnavailable>
    readonly all: Effect.Effect<ReadonlyArray<ReceivedReport>, ReadModelUnavailable>
  }
>()("tidemark/domain/projection/WorkerReports") {
  /** For a store that no other process works on: nobody has anything to say. */
  static readonly layerNone = Layer.succeed(
    WorkerReports,
    WorkerReports.of({ publish: () => Effect.void, all: Effect.succeed([]) }),
  )
}
