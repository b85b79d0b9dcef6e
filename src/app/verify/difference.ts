/** A cell for which the read model and the oracle disagree; `null` = no such cell. */
export interface Difference {
  readonly metric: string
  readonly version: number
  /** What to ask for it by, such as `clicks@2`. */
  readonly build: string
  readonly date: string
  readonly item: string
  readonly stat: string
  readonly readModel: string | null
  readonly oracle: string | null
}
