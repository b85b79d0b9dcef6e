import type { Attempt, FunnelEntries } from "./funnelEntries.ts"
import type { FunnelRules } from "./funnelRules.ts"
import { matchSteps } from "./matchSteps.ts"
import type { TimedLabels } from "./points.ts"

/** One event of a person: the steps that it satisfies. */
type StepEvent = ReadonlyArray<number>

/**
 * One person's hits, indexed for attempts: an attempt jumps from step to step by binary search and looks only at
 * instants where a step happened, so that every entry can be tried even for persons with very many events.
 */
export class FunnelHistory implements FunnelEntries {
  readonly #rules: FunnelRules
  /** The instants at which a step happened, ascending, and the events of each. */
  readonly #times: ReadonlyArray<number>
  readonly #events: ReadonlyArray<ReadonlyArray<StepEvent>>
  /** For each step, the instants (by place) that hold it, ascending. */
  readonly #instantsOfStep: ReadonlyArray<ReadonlyArray<number>>
  /** For each exclusion, its times, ascending. */
  readonly #exclusionTimes: ReadonlyArray<ReadonlyArray<number>>

  constructor(points: TimedLabels, rules: FunnelRules) {
    const times: Array<number> = []
    const events: Array<ReadonlyArray<StepEvent>> = []
    const instantsOfStep: Array<Array<number>> = Array.from({ length: rules.steps }, () => [])
    const exclusionTimes: Array<Array<number>> = rules.exclusions.map(() => [])
    for (let i = 0; i < points.count; i++) {
      const time = points.times[i]!
      const { steps, exclusions } = rules.hitOf(points.labels[i]!)
      for (const exclusion of exclusions) exclusionTimes[exclusion]!.push(time)
      if (steps.length === 0) continue
      // With grace a list of steps stands for one event, so each event has one of its own.
      const event = rules.graceMillis > 0 ? [...steps] : steps
      const last = times.length - 1
      if (last >= 0 && times[last] === time) {
        events[last] = [...events[last]!, event]
      } else {
        times.push(time)
        events.push([event])
      }
      for (const step of steps) {
        const places = instantsOfStep[step]!
        if (places[places.length - 1] !== times.length - 1) places.push(times.length - 1)
      }
    }
    this.#rules = rules
    this.#times = times
    this.#events = events
    this.#instantsOfStep = instantsOfStep
    this.#exclusionTimes = exclusionTimes
  }

  get entries(): ReadonlyArray<number> {
    return this.#instantsOfStep[0]!.map((place) => this.#times[place]!)
  }

  bestWhere(isWanted: (entry: number) => boolean): Attempt | null {
    return this.bestOf(this.entries.filter(isWanted))
  }

  bestOf(entries: ReadonlyArray<number>): Attempt | null {
    const places = this.#instantsOfStep[0]!
    let best: Attempt | null = null
    let completedButSpoiled = false
    for (const entry of entries) {
      const attempt = this.#attempt(places[lowerBound(places, (place) => this.#times[place]! >= entry)]!)
      const { kept, spoiled } = this.#spoiling(attempt)
      if (spoiled && this.#rules.removesPerson) {
        completedButSpoiled ||= attempt.reached.length === this.#rules.steps
      } else if (best === null || kept > best.reached.length) {
        best = { reached: attempt.reached.slice(0, kept) }
      }
      if (this.#rules.firstEntryOnly || best?.reached.length === this.#rules.steps) break
    }
    return completedButSpoiled && best?.reached.length !== this.#rules.steps ? null : best
  }

  #attempt(entry: number): Attempt {
    return this.#rules.graceMillis > 0 ? this.#attemptWithGrace(entry) : this.#attemptInOrder(entry)
  }

  #attemptInOrder(entry: number): Attempt {
    const { steps, windowMillis } = this.#rules
    const reached: Array<number> = []
    const latest = this.#times[entry]! + windowMillis
    let place: number | undefined = entry
    while (place !== undefined && this.#times[place]! <= latest) {
      const time = this.#times[place]!
      const events = this.#events[place]!
      // Everything at one instant may be taken in whichever order converts.
      const further = events.length === 1 ? 1 : matchSteps(events, reached.length, steps)
      for (let n = 0; n < further; n++) reached.push(time)
      if (reached.length === steps) break
      const places = this.#instantsOfStep[reached.length]!
      const after: number = place
      place = places[lowerBound(places, (candidate) => candidate > after)]
    }
    return { reached }
  }

  /**
   * With grace the event of a step may be up to `graceMillis` older than the moment at which the step before was
   * reached. Each step is reached as early as it can be, given when those before it were: at the moment of the step
   * before, if the events up to then can be dealt out anew so that all steps have one of their own; else at the first
   * event after it that fits.
   */
  #attemptWithGrace(entry: number): Attempt {
    const { steps, windowMillis, graceMillis } = this.#rules
    const start = this.#times[entry]!
    const reached: Array<number> = []
    const holders = new Map<StepEvent, number>()
    /** Finds the step an event between its bounds, taking those of other steps where these find another. */
    const deal = (step: number, until: number, visited: Set<StepEvent>): boolean => {
      const from = step === 0 ? start : reached[step - 1]! - graceMillis
      const taken: Array<StepEvent> = []
      for (const event of this.#eventsOfStep(step, from, until)) {
        if (!holders.has(event)) {
          holders.set(event, step)
          return true
        }
        taken.push(event)
      }
      for (const event of taken) {
        if (visited.has(event)) continue
        visited.add(event)
        const holder = holders.get(event)!
        if (holder !== step && deal(holder, reached[holder]!, visited)) {
          holders.set(event, step)
          return true
        }
      }
      return false
    }
    for (let step = 0; step < steps; step++) {
      const before = reached[step - 1] ?? start
      if (deal(step, before, new Set())) {
        reached.push(before)
        continue
      }
      const places = this.#instantsOfStep[step]!
      const place = places[lowerBound(places, (candidate) => this.#times[candidate]! > before)]
      if (place === undefined || this.#times[place]! > start + windowMillis) break
      holders.set(
        this.#events[place]!.find((event) => event.includes(step))!,
        step,
      )
      reached.push(this.#times[place]!)
    }
    return { reached }
  }

  /** Events that fit a step, between two moments (ms, both included), in order of time. */
  *#eventsOfStep(step: number, from: number, until: number): Iterable<StepEvent> {
    const places = this.#instantsOfStep[step]!
    for (let n = lowerBound(places, (place) => this.#times[place]! >= from); n < places.length; n++) {
      const place = places[n]!
      if (this.#times[place]! > until) return
      for (const event of this.#events[place]!) if (event.includes(step)) yield event
    }
  }

  /**
   * How many steps an attempt keeps: all, or those up to the first exclusion strictly between two of them. One after the
   * last step that was reached, within the window, spoils it too, though it takes nothing away.
   */
  #spoiling({ reached }: Attempt): { readonly kept: number; readonly spoiled: boolean } {
    const end = reached[0]! + this.#rules.windowMillis
    let kept = reached.length
    let spoiled = false
    for (const [n, { fromStep, toStep }] of this.#rules.exclusions.entries()) {
      const times = this.#exclusionTimes[n]!
      for (let step = fromStep; step < toStep && step < kept; step++) {
        const next = reached[step + 1]
        const at = times[lowerBound(times, (time) => time > reached[step]!)]
        if (at !== undefined && (next === undefined ? at <= end : at < next)) {
          kept = step + 1
          spoiled = true
        }
      }
    }
    return { kept, spoiled }
  }
}

/** First place in an ascending list for which `holds`; the length when there is none. */
const lowerBound = (values: ReadonlyArray<number>, holds: (value: number) => boolean): number => {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(values[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
