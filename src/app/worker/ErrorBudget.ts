import type { WorkerLimits } from "./limits.ts"

/**
 * How many of the last events could not be folded. Some always fail, and wait in quarantine; when many do, it is the
 * metric or the client that is wrong, and going on would only fill the quarantine.
 */
export class ErrorBudget {
  readonly #limits: WorkerLimits
  #batches: Array<{ readonly events: number; readonly failed: number }> = []
  #events = 0
  #failed = 0

  constructor(limits: WorkerLimits) {
    this.#limits = limits
  }

  add(events: number, failed: number): void {
    this.#batches.push({ events, failed })
    this.#events += events
    this.#failed += failed
    while (this.#batches.length > 1 && this.#events - this.#batches[0]!.events >= this.#limits.budgetWindow) {
      const oldest = this.#batches.shift()!
      this.#events -= oldest.events
      this.#failed -= oldest.failed
    }
  }

  /** Why to pause, if so. */
  get overrun(): string | null {
    const { budgetShare, budgetEvents } = this.#limits
    if (this.#failed <= Math.max(budgetEvents, budgetShare * this.#events)) return null
    return `${this.#failed} of the last ${this.#events} events could not be folded and went to quarantine, more than the budget of ${budgetShare * 100} %. Look at them with "tidemark quarantine", correct the metric or the client, then "tidemark resume"`
  }
}
