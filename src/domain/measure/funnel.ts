import type { FunnelFormula, MetricDefinition, Renames } from "../metric/definition.ts"
import { compileFilter, type ObservedEvent } from "../metric/filter.ts"
import { parseDuration } from "../time/duration.ts"
import type { Day } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import type { EventKind } from "../event/Event.ts"
import { pointsOf } from "./Fact.ts"
import { type Measure, wholeChange } from "./Measure.ts"
import { matchSteps } from "./matchSteps.ts"
import type { TimedLabels } from "./points.ts"

/** The rules of a funnel, defaults filled in. Steps count from 0 here. */
export interface FunnelRules {
  readonly steps: number
  /** `Infinity` for no limit. */
  readonly windowMillis: number
  readonly graceMillis: number
  readonly firstEntryOnly: boolean
  readonly exclusions: ReadonlyArray<{ readonly fromStep: number; readonly toStep: number }>
  readonly removesPerson: boolean
  /** What a label says. */
  readonly hitOf: (label: string) => Hit
}

const DEFAULT_WINDOW_MILLIS = 14 * 86_400_000

export const funnelRules = (formula: FunnelFormula): FunnelRules => ({
  steps: formula.steps.length,
  windowMillis:
    formula.window === "none"
      ? Number.POSITIVE_INFINITY
      : formula.window === undefined
        ? DEFAULT_WINDOW_MILLIS
        : parseDuration(formula.window)!,
  graceMillis: formula.grace === undefined ? 0 : parseDuration(formula.grace)!,
  firstEntryOnly: formula.reentry === "first-entry-only",
  exclusions: (formula.exclusions ?? []).map(({ fromStep, toStep }) => ({
    fromStep: fromStep - 1,
    toStep: toStep - 1,
  })),
  removesPerson: formula.exclusionPolicy === "remove-person",
  hitOf: hitReader(),
})

/** One run through the funnel: when each step was reached, from the entry on (ms). */
export interface Attempt {
  readonly reached: ReadonlyArray<number>
}

/** One event of a person: the steps that it satisfies. */
type StepEvent = ReadonlyArray<number>

/**
 * One person's hits, indexed for attempts: an attempt jumps from step to step by binary search and looks only at
 * instants where a step happened, so that every entry can be tried even for persons with very many events.
 */
export class FunnelHistory {
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
    for (let i = 0; i < points.times.length; i++) {
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

  /** Instants of entry (ms), ascending. */
  get entries(): ReadonlyArray<number> {
    return this.#instantsOfStep[0]!.map((place) => this.#times[place]!)
  }

  /**
   * The attempt that counts among some of the `entries`, given ascending, or `null` when the person counts in no step:
   * the one that gets furthest, the earliest of those (docs/reference/semantics.md, Funnels).
   */
  best(entries: ReadonlyArray<number>): Attempt | null {
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

/** The steps and the exclusions that an event satisfies. */
interface Hit {
  readonly steps: StepEvent
  readonly exclusions: ReadonlyArray<number>
}

/** Labels of which a reader remembers what they say; a funnel has rarely more than a few. */
const HITS_MAX = 4096

/** Reads labels, lists such as `0,2` (steps) and `0,2;1` (steps; exclusions): each once, since it stands at many points. */
const hitReader = (): FunnelRules["hitOf"] => {
  const hits = new Map<string, Hit>()
  return (label) => {
    const known = hits.get(label)
    if (known !== undefined) return known
    const [steps = "", exclusions = ""] = label.split(";")
    const hit = { steps: readNumbers(steps), exclusions: readNumbers(exclusions) }
    if (hits.size < HITS_MAX) hits.set(label, hit)
    return hit
  }
}

const readNumbers = (text: string): ReadonlyArray<number> => (text === "" ? [] : text.split(",").map(Number))

/**
 * Persons that reached each step, by local day of their entry: `users` and, from the second step on,
 * `from_previous_ms` (sum), item = step number from 1.
 */
export const funnel = (definition: MetricDefinition, formula: FunnelFormula, zone: TimeZone): Measure => {
  const rules = funnelRules(formula)
  const matcher = funnelMatcher(formula, definition.renamed)
  const contribute: Measure["contribute"] = (fact, emit) => {
    const history = new FunnelHistory(pointsOf(fact), rules)
    // Grouped, not cut at midnights: where clocks go back over midnight, a local day has two parts.
    const entriesOfDay = new Map<Day, Array<number>>()
    for (const entry of history.entries) {
      const day = zone.dayOf(entry)
      const entries = entriesOfDay.get(day)
      if (entries === undefined) entriesOfDay.set(day, [entry])
      else entries.push(entry)
    }
    for (const [day, entries] of entriesOfDay) {
      const attempt = history.best(entries)
      attempt?.reached.forEach((time, step) => {
        emit(day, String(step + 1), "users", 1)
        if (step > 0) emit(day, String(step + 1), "from_previous_ms", time - attempt.reached[step - 1]!)
      })
    }
  }
  return {
    definition,
    concerns: matcher.concerns,
    keepsPoints: true,
    observe: (event) => {
      const label = matcher.label(event)
      return label === null ? null : { value: "", label }
    },
    contribute,
    contributeChange: wholeChange(contribute),
    tally: null,
  }
}

/** Says which steps and exclusions of a funnel an event satisfies. */
const funnelMatcher = (formula: FunnelFormula, renamed: Renames | undefined) => {
  const compile = ({ event, where }: { readonly event: string; readonly where?: FunnelFormula["steps"][0]["where"] }) =>
    compileFilter({ ...(event === "*" ? {} : { events: [event] }), ...(where === undefined ? {} : { where }) }, renamed)
  const steps = formula.steps.map(compile)
  const exclusions = (formula.exclusions ?? []).map(compile)
  const all = [...steps, ...exclusions]
  const satisfied = (filters: typeof steps, event: ObservedEvent): string => {
    const places: Array<number> = []
    filters.forEach((filter, n) => {
      if (filter.named(event.name, event.kind) && filter.holds(event)) places.push(n)
    })
    return places.join()
  }
  return {
    concerns: (name: string, kind: EventKind): boolean => all.some((filter) => filter.named(name, kind)),
    label: (event: ObservedEvent): string | null => {
      const hit = satisfied(steps, event)
      const excluded = exclusions.length === 0 ? "" : satisfied(exclusions, event)
      return excluded === "" ? (hit === "" ? null : hit) : `${hit};${excluded}`
    },
  }
}
