/** An event that is one of a funnel's steps: when, and which steps it can be (from 0, ascending). */
export interface StepEvent {
  readonly time: number
  readonly steps: ReadonlyArray<number>
}

/** How far an attempt may reach, in ms; `Infinity` for a funnel without a window. */
export interface Reach {
  readonly stepCount: number
  readonly windowMillis: number
}

/** All step events at one moment. */
export interface Instant {
  readonly time: number
  readonly events: ReadonlyArray<StepEvent>
}

/**
 * When an attempt reaches each of its steps (SEMANTICS, Funnels): instant by instant from the entry on, at each as many
 * further steps as its events allow. `instants` are in order of time; the entry is at `first`.
 */
export const reachInOrder = (
  instants: ReadonlyArray<Instant>,
  first: number,
  { stepCount, windowMillis }: Reach,
): ReadonlyArray<number> => {
  const windowEnd = instants[first]!.time + windowMillis
  const reached: Array<number> = []
  for (let index = first; index < instants.length && reached.length < stepCount; index++) {
    const { time, events } = instants[index]!
    if (time > windowEnd) break
    const furthest = furthestStep(reached.length, events, stepCount)
    while (reached.length < furthest) reached.push(time)
  }
  return reached
}

/**
 * The most steps that are reached when `next` are and the events of one instant may be taken in any order, each for one
 * step only ("events at the same instant may be taken in whichever order converts"; "one event never satisfies two
 * steps of one attempt"). Tries every choice.
 */
const furthestStep = (next: number, unused: ReadonlyArray<StepEvent>, stepCount: number): number => {
  const bound = Math.min(stepCount, next + unused.length)
  let furthest = next
  const tried = new Set<string>()
  for (let index = 0; index < unused.length && furthest < bound; index++) {
    const { steps } = unused[index]!
    // Events that can be the same steps are as good as each other.
    if (!steps.includes(next) || tried.has(steps.join())) continue
    tried.add(steps.join())
    furthest = Math.max(furthest, furthestStep(next + 1, unused.toSpliced(index, 1), stepCount))
  }
  return furthest
}

/**
 * As {@link reachInOrder}, where a step's event may lie up to `graceMillis` before the step before it was reached
 * ("`grace` widens that"): step by step, the earliest event that fits; the step is then reached no earlier than the one
 * before.
 */
export const reachWithGrace = (
  instants: ReadonlyArray<Instant>,
  first: number,
  { stepCount, windowMillis }: Reach,
  graceMillis: number,
): ReadonlyArray<number> => {
  const entry = instants[first]!.time
  const used = new Set<StepEvent>()
  const reached: Array<number> = []
  for (let step = 0; step < stepCount; step++) {
    // The entry is at its own instant. Later steps are reached there or after, so none reaches back past its grace.
    const earliest = step === 0 ? entry : reached[step - 1]! - graceMillis
    const latest = step === 0 ? entry : entry + windowMillis
    const taken = instants
      .filter(({ time }) => earliest <= time && time <= latest)
      .flatMap(({ events }) => events)
      .filter((event) => event.steps.includes(step) && !used.has(event))
      .sort(compareForGrace)[0]
    if (taken === undefined) break
    used.add(taken)
    reached.push(step === 0 ? entry : Math.max(reached[step - 1]!, taken.time))
  }
  return reached
}

/** By time; then the event that can be the fewest steps; then the one whose latest steps are the earlier. */
const compareForGrace = (left: StepEvent, right: StepEvent): number => {
  if (left.time !== right.time) return left.time - right.time
  if (left.steps.length !== right.steps.length) return left.steps.length - right.steps.length
  for (let index = left.steps.length - 1; index >= 0; index--) {
    const difference = left.steps[index]! - right.steps[index]!
    if (difference !== 0) return difference
  }
  return 0
}
