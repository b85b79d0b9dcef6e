/** One run through the funnel: when each step was reached, from the entry on (ms). */
export interface Attempt {
  readonly reached: ReadonlyArray<number>
}

/** What one person did that a funnel looks at. */
export interface FunnelEntries {
  /** Instants of entry (ms), ascending. */
  readonly entries: ReadonlyArray<number>
  /**
   * The attempt that counts among some of the `entries`, given ascending, or `null` when the person counts in no step:
   * the one that gets furthest, the earliest of those (docs/reference/semantics.md, Funnels).
   */
  readonly bestOf: (entries: ReadonlyArray<number>) => Attempt | null
  /** The same among those of the `entries` that are wanted; asked of each once at most, ascending. */
  readonly bestWhere: (isWanted: (entry: number) => boolean) => Attempt | null
}
