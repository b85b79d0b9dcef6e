/**
 * Up to which person the cells of a measure count, by the absolute value of the person's key: {@link NOBODY} while facts are
 * only gathered, {@link EVERYBODY} for most of a measure's life (docs/decisions/0046-counting-once-everything-is-gathered.md).
 */
export type Mark = number

export const NOBODY: Mark = 0
export const EVERYBODY: Mark = Number.POSITIVE_INFINITY

/** Whether what a person did is in the cells. The older part of a device is a person with a negative key. */
export const counts = (mark: Mark, person: number): boolean => Math.abs(person) <= mark

/** How far the cells of a measure count before a change and after it. */
export interface Counting {
  readonly from: Mark
  readonly to: Mark
}

/** Everybody is counted, before and after. */
export const ALL_COUNTED: Counting = { from: EVERYBODY, to: EVERYBODY }
