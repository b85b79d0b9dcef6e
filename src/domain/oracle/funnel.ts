import type { Event } from "../event/Event.ts"
import type { FunnelFormula } from "../metric/definition.ts"
import { Cells, type CellKey } from "./Cells.ts"
import { durationMillis } from "./durationText.ts"
import { isStepEvent } from "./filter.ts"
import { type Instant, type Reach, reachInOrder, reachWithGrace, type StepEvent } from "./funnelSteps.ts"
import type { LocalCalendar } from "./LocalCalendar.ts"

/** One try of a person from one entry. */
interface Attempt {
  /** When each step was reached, as if there were no exclusions. */
  readonly reached: ReadonlyArray<number>
  /** How many steps were reached before an excluded event. */
  readonly keptSteps: number
  readonly spoiled: boolean
}

/**
 * The attempts of one person that count, as the instants at which their steps were reached. Entries compete within the
 * group that `groupOf` names; `null` takes no part.
 */
export const countingAttempts = (
  events: ReadonlyArray<Event>,
  formula: FunnelFormula,
  groupOf: (entry: number) => string | null,
): ReadonlyMap<string, ReadonlyArray<number>> => {
  const inOrder = events.toSorted((left, right) => left.time - right.time)
  const instants = instantsOf(inOrder, formula)
  const excluded = excludedTimes(inOrder, formula)

  const entriesOf = new Map<string, Array<number>>()
  for (const [index, instant] of instants.entries()) {
    const isEntry = instant.events.some(({ steps }) => steps.includes(0))
    const group = isEntry ? groupOf(instant.time) : null
    if (group === null) continue
    const entries = entriesOf.get(group)
    if (entries === undefined) entriesOf.set(group, [index])
    else entries.push(index)
  }

  const counting = new Map<string, ReadonlyArray<number>>()
  for (const [group, entries] of entriesOf) {
    // Entries are in order of time, so the first is the earliest.
    const tried = formula.reentry === "first-entry-only" ? entries.slice(0, 1) : entries
    const attempts = tried.map((first) => attemptFrom(first, instants, excluded, formula))
    const reached = choose(attempts, formula)
    if (reached !== null) counting.set(group, reached)
  }
  return counting
}

/** A person's events that are some step, by the moment at which they happened. */
const instantsOf = (inOrder: ReadonlyArray<Event>, formula: FunnelFormula): ReadonlyArray<Instant> => {
  const stepEvents: Array<StepEvent> = []
  for (const event of inOrder) {
    const steps = [...formula.steps.keys()].filter((step) => isStepEvent(event, formula.steps[step]!))
    if (steps.length > 0) stepEvents.push({ time: event.time, steps })
  }
  return [...Map.groupBy(stepEvents, ({ time }) => time)].map(([time, events]) => ({ time, events }))
}

/** For each exclusion the instants of its events, in order. */
const excludedTimes = (inOrder: ReadonlyArray<Event>, formula: FunnelFormula): ReadonlyArray<ReadonlyArray<number>> =>
  (formula.exclusions ?? []).map((exclusion) =>
    inOrder.filter((event) => isStepEvent(event, exclusion)).map(({ time }) => time),
  )

const windowMillisOf = ({ window }: FunnelFormula): number =>
  window === "none" ? Number.POSITIVE_INFINITY : durationMillis(window ?? "14d")

/** The attempt from the entry at the instant `first`. */
const attemptFrom = (
  first: number,
  instants: ReadonlyArray<Instant>,
  excluded: ReadonlyArray<ReadonlyArray<number>>,
  formula: FunnelFormula,
): Attempt => {
  const reach: Reach = { stepCount: formula.steps.length, windowMillis: windowMillisOf(formula) }
  const graceMillis = durationMillis(formula.grace ?? "0s")
  const reached =
    graceMillis === 0 ? reachInOrder(instants, first, reach) : reachWithGrace(instants, first, reach, graceMillis)
  const spoiledAt = firstSpoiledStep(reached, excluded, formula, instants[first]!.time + reach.windowMillis)
  return { reached, keptSteps: spoiledAt ?? reached.length, spoiled: spoiledAt !== null }
}

/**
 * The first step (from 1) after whose reaching an excluded event lies, strictly before the next step, or within the
 * window when no next step was reached (docs/reference/semantics.md, Funnels, `exclusions`).
 */
const firstSpoiledStep = (
  reached: ReadonlyArray<number>,
  excluded: ReadonlyArray<ReadonlyArray<number>>,
  formula: FunnelFormula,
  windowEnd: number,
): number | null => {
  for (let step = 1; step <= reached.length; step++) {
    const after = reached[step - 1]!
    const next = reached[step]
    const spoils = (time: number): boolean => time > after && (next === undefined ? time <= windowEnd : time < next)
    const spoiled = (formula.exclusions ?? []).some(
      ({ fromStep, toStep }, index) => fromStep <= step && step < toStep && excluded[index]!.some(spoils),
    )
    if (spoiled) return step
  }
  return null
}

/** Which of a person's attempts (the earliest first) counts, and how far; `null` when the person is left out. */
const choose = (attempts: ReadonlyArray<Attempt>, formula: FunnelFormula): ReadonlyArray<number> | null => {
  if (formula.exclusionPolicy !== "remove-person") {
    return furthest(attempts.map(({ reached, keptSteps }) => reached.slice(0, keptSteps)))
  }
  const completes = ({ reached }: Attempt): boolean => reached.length === formula.steps.length
  const unspoiled = attempts.filter(({ spoiled }) => !spoiled)
  if (attempts.some(completes) && !unspoiled.some(completes)) return null
  return furthest(unspoiled.map(({ reached }) => reached))
}

/** "The one that gets furthest counts; ties: the earliest." */
const furthest = (attempts: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> | null => {
  let best: ReadonlyArray<number> | null = null
  for (const reached of attempts) if (best === null || reached.length > best.length) best = reached
  return best
}

/** docs/reference/semantics.md, Funnels: "per-day rows group by entry day, once per person and day". */
export const funnelCells = (
  persons: ReadonlyArray<ReadonlyArray<Event>>,
  formula: FunnelFormula,
  calendar: LocalCalendar,
): ReadonlyMap<CellKey, number | string> => {
  const cells = new Cells()
  for (const events of persons) {
    for (const [day, reached] of countingAttempts(events, formula, (entry) => calendar.dayOf(entry))) {
      for (const [index, time] of reached.entries()) {
        cells.add(day, String(index + 1), "users", 1)
        if (index > 0) cells.add(day, String(index + 1), "from_previous_ms", time - reached[index - 1]!)
      }
    }
  }
  return cells.values()
}
