import { Context } from "effect"

/** Bounds of a worker's loops. */
export interface WorkerLimits {
  /** Events in one step at most: what is folded and not committed is in memory. */
  readonly stepEvents: number
  /** Events that all loops of a worker together have folded and not committed, at most. */
  readonly workerEvents: number
  /** Steps of the default group that are committed at once, beside one of a build; each takes a connection to Postgres. */
  readonly commitsAtOnce: number
  /**
   * While events keep coming, a step waits for more so many times as long as the commit before it took, and so many ms at
   * most: so much of its time a loop spends on committing small steps, and so long an event stays invisible.
   */
  readonly lingerTimes: number
  readonly lingerMillis: number
  /** Live events that may fail: at most this share of the last `budgetWindow`, and this many in any case. */
  readonly budgetShare: number
  readonly budgetEvents: number
  readonly budgetWindow: number
}

/** The bounds in force. */
export const Limits = Context.Reference<WorkerLimits>("tidemark/app/worker/Limits", {
  defaultValue: () => ({
    stepEvents: 50_000,
    workerEvents: 100_000,
    commitsAtOnce: 2,
    lingerTimes: 3,
    lingerMillis: 150,
    budgetShare: 0.01,
    budgetEvents: 100,
    budgetWindow: 100_000,
  }),
})

/** Every loop turns at least this often, ms, also with nothing to do; so soon it sees pauses and that it is not the owner. */
export const TURN_MILLIS = 500

/**
 * A group that builds looks this often how far the default group is, ms: each look, and the small step that it finds, are
 * taken from what answers.
 */
export const FOLLOW_MILLIS = 1_000
