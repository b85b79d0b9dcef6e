/**
 * Up to which person the cells of a measure count, by the absolute value of the person's key: {@link NOBODY} while facts are
 * only gathered, {@link EVERYBODY} for most of a measure's life (docs/decisions/0046-counting-once-everything-is-gathered.md).
 */
export type CountedTo = number

export const NOBODY: CountedTo = 0
export const EVERYBODY: CountedTo = Number.POSITIVE_INFINITY

/** Whether what a person did is in the cells. The older part of a device is a person with a negative key. */
export const isCounted = (countedTo: CountedTo, person: number): boolean => Math.abs(person) <= countedTo

/** Whether some persons are counted and others not. */
export const countsSome = (countedTo: CountedTo): boolean => countedTo !== NOBODY && countedTo !== EVERYBODY

/** How far the cells of a measure count before a change and after it. */
export interface CountedRange {
  readonly from: CountedTo
  readonly to: CountedTo
}

/** Everybody is counted, before and after. */
export const ALL_COUNTED: CountedRange = { from: EVERYBODY, to: EVERYBODY }
