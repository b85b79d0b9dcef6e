/**
 * How many consecutive steps, beginning with `from`, can be satisfied by distinct events of one instant: a maximum
 * bipartite matching grown step by step with augmenting paths (Kuhn 1955), since an event that fits several steps may
 * have to be moved to a later one.
 *
 * `events` lists for each event the steps that it satisfies; `end` is the number of steps of the funnel.
 */
export const matchSteps = (events: ReadonlyArray<ReadonlyArray<number>>, from: number, end: number): number => {
  const candidates = distinguishable(events, end - from)
  /** Event → the step that it is taken for. */
  const taken = new Map<number, number>()
  const augment = (step: number, visited: Set<number>): boolean => {
    for (let event = 0; event < candidates.length; event++) {
      if (visited.has(event) || !candidates[event]!.includes(step)) continue
      visited.add(event)
      const holder = taken.get(event)
      if (holder === undefined || augment(holder, visited)) {
        taken.set(event, step)
        return true
      }
    }
    return false
  }
  let step = from
  while (step < end && augment(step, new Set())) step++
  return step - from
}

/** At most `most` events of each kind: more can't matter, and a flood of equal events at one instant costs nothing. */
const distinguishable = (
  events: ReadonlyArray<ReadonlyArray<number>>,
  most: number,
): ReadonlyArray<ReadonlyArray<number>> => {
  if (events.length <= most) return events
  const seen = new Map<string, number>()
  return events.filter((steps) => {
    const kind = steps.join()
    const count = (seen.get(kind) ?? 0) + 1
    seen.set(kind, count)
    return count <= most
  })
}
