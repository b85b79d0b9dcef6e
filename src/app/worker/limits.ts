import { Context } from "effect"

/** Bounds of a worker's loops. */
export interface WorkerLimits {
  /** Events in one step at most: what is folded and not committed is in memory. */
  readonly stepEvents: number
  /** How long a step waits for more while events keep coming, ms: so long an event may stay invisible under load. */
  readonly lingerMillis: number
  /** Live events that may fail: at most this share of the last `budgetWindow`, and this many in any case. */
  readonly budgetShare: number
  readonly budgetEvents: number
  readonly budgetWindow: number
}

/** The bounds in force. */
export const Limits = Context.Reference<WorkerLimits>("tidemark/app/worker/Limits", {
  defaultValue: () => ({
    stepEvents: 100_000,
    lingerMillis: 100,
    budgetShare: 0.01,
    budgetEvents: 100,
    budgetWindow: 100_000,
  }),
})

/** Every loop turns at least this often, ms, also with nothing to do; so soon it sees pauses and that it is not the owner. */
export const TURN_MILLIS = 500
