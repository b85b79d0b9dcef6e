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
 * When an attempt reaches each of its steps (docs/reference/semantics.md, Funnels): instant by instant from the entry on, at each as many
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
 * As {@link reachInOrder}, where a step's event may lie up to `graceMillis` before the moment at which the step before it
 * was reached ("`grace` widens that"): step by step, the earliest moment from that of the step before on, by which all
 * steps so far can have an event each, none of them later than its step was reached.
 */
export const reachWithGrace = (
  instants: ReadonlyArray<Instant>,
  first: number,
  { stepCount, windowMillis }: Reach,
  graceMillis: number,
): ReadonlyArray<number> => {
  const entry = instants[first]!.time
  const reached: Array<number> = []
  /** For each step so far, the events that it may have if it is reached at the moments given. */
  const choicesOf = (moments: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<StepEvent>> =>
    moments.map((moment, step) => {
      const earliest = step === 0 ? entry : moments[step - 1]! - graceMillis
      return instants
        .filter(({ time }) => earliest <= time && time <= moment)
        .flatMap(({ events }) => events.filter(({ steps }) => steps.includes(step)))
    })
  while (reached.length < stepCount) {
    const step = reached.length
    const moment = instants
      .filter(({ time, events }) => time > entry && events.some(({ steps }) => steps.includes(step)))
      .map(({ time }) => time)
      .concat(reached.at(-1) ?? entry)
      .filter((time) => time >= (reached.at(-1) ?? entry) && time <= entry + (step === 0 ? 0 : windowMillis))
      .sort((left, right) => left - right)
      .find((time) => canServeAll(choicesOf([...reached, time])))
    if (moment === undefined) break
    reached.push(moment)
  }
  return reached
}

/** Whether each step can have an event of its own. Tries every choice, first for the step that has the fewest. */
const canServeAll = (choices: ReadonlyArray<ReadonlyArray<StepEvent>>): boolean => {
  if (choices.length === 0) return true
  const fewest = choices.reduce((least, events) => (events.length < least.length ? events : least))
  const others = choices.toSpliced(choices.indexOf(fewest), 1)
  return fewest.some((event) => canServeAll(others.map((events) => events.filter((other) => other !== event))))
}
