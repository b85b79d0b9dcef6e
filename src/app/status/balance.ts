/** Where the events of the log are: accepted = projected + duplicates + quarantined + lag. None is dropped. */
export interface Balance {
  readonly accepted: number
  readonly projected: number
  readonly duplicates: number
  /** Events that no metric could take in, isolated after they had ended workers. */
  readonly quarantined: number
  readonly lag: number
  /** Whether every term is a count; else the lag is an estimate. */
  readonly exact: boolean
  /**
   * Whether the terms add up; `null` where the log can't count its events, so that what it accepted is not known
   * otherwise than by adding the others.
   */
  readonly holds: boolean | null
}

interface Terms {
  readonly accepted: number
  readonly projected: number
  readonly duplicates: number
  readonly quarantined: number
  readonly lag: number
}

/** Adds up what partitions have. */
export const balanceOf = (partitions: ReadonlyArray<Terms>, exact: boolean, counted: boolean): Balance => {
  const sum = (term: keyof Terms) => partitions.reduce((total, partition) => total + partition[term], 0)
  const terms = {
    accepted: sum("accepted"),
    projected: sum("projected"),
    duplicates: sum("duplicates"),
    quarantined: sum("quarantined"),
    lag: sum("lag"),
  }
  return {
    ...terms,
    exact,
    // What is behind is counted from the log, so a negative one says that more was projected than is there.
    holds: counted
      ? partitions.every(({ lag }) => lag >= 0) &&
        terms.accepted === terms.projected + terms.duplicates + terms.quarantined + terms.lag
      : null,
  }
}
