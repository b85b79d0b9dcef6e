import { Effect, Exit, Metric } from "effect"
import { monotonicMillis } from "../monotonicMillis.ts"

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** How steps of the projection come through. */
export const readModelMetrics = {
  commitSeconds: Metric.histogram("tidemark_commit_duration_seconds", {
    description: "How long the transaction of one step takes, in seconds, whatever becomes of it.",
    boundaries: SECONDS,
  }),
  commits: Metric.counter("tidemark_commits_total", {
    description: "Steps by what became of them: committed, fenced (another worker has gone on), failed.",
    incremental: true,
  }),
} as const

/** Measures one commit. */
export const measuringCommit = <A, E extends { readonly _tag: string }, R>(
  commit: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const started = yield* monotonicMillis
    return yield* Effect.onExit(commit, (exit) =>
      Effect.gen(function* () {
        yield* Metric.update(readModelMetrics.commitSeconds, ((yield* monotonicMillis) - started) / 1000)
        yield* Metric.update(Metric.withAttributes(readModelMetrics.commits, { outcome: outcomeOf(exit) }), 1)
      }),
    )
  })

const outcomeOf = <A, E extends { readonly _tag: string }>(exit: Exit.Exit<A, E>): string => {
  if (Exit.isSuccess(exit)) return "committed"
  const fenced = exit.cause.reasons.some(
    (reason) => reason._tag === "Fail" && reason.error._tag === "CheckpointConflict",
  )
  return fenced ? "fenced" : "failed"
}
