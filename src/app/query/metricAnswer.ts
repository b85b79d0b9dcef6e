import type { Frame } from "./frame.ts"

/** What `metric` answers, of whatever kind the metric is. */
export interface MetricAnswer extends Frame {
  /** The metrics that a formula of others is made of, with the versions that its numbers come from. */
  readonly uses: ReadonlyArray<{ readonly metric: string; readonly version: number }>
  /**
   * One row per day, value of the breakdown (`""` without) and statistic; amounts are exact decimals as text. A formula of
   * other metrics is rounded where it is no decimal, and `null` where it divides by 0.
   */
  readonly rows: ReadonlyArray<{
    readonly date: string
    readonly value: string
    readonly stat: string
    readonly amount: string | null
  }>
  /**
   * Per value: amounts added up over the range. Persons are not added up: distinct ones of active users, else none. A formula
   * of other metrics is worked out from their totals.
   */
  readonly totals: ReadonlyArray<{ readonly value: string; readonly stat: string; readonly amount: string | null }>
}
