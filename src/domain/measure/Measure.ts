import type { EventKind } from "../event/Event.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import type { ObservedEvent } from "../metric/filter.ts"
import type { Day } from "../time/calendar.ts"
import type { Fact } from "./Fact.ts"

/** Adds a number to one cell: (local day, item, statistic) of the measure. */
export type Emit = (day: Day, item: string, stat: string, amount: number) => void

/** Adds an exact decimal to one cell. */
export type EmitDecimal = (day: Day, item: string, stat: string, amount: string) => void

/** What a measure notes of one event. */
export interface Observation {
  /** Value of the breakdown, `""` without one. */
  readonly value: string
  /** What `contribute` needs to know of the event besides its time. */
  readonly label: string
}

/**
 * A compiled metric definition: three pure functions (docs/explanation/the-algebra.md).
 *
 *     observe    : Event → Fact            here: Event → Observation, which `Observations` joins into facts
 *     join       : Fact × Fact → Fact      the same for every measure: `joinFacts`
 *     contribute : Fact → Cell ↦ number    what one person adds, from the join of its distinct ids' facts
 *
 * A cell is the sum of `contribute` over all persons, plus `tally` over all events that count. `tally` is not
 * idempotent and stands on the dedupe of event ids; it never depends on who a person is.
 */
export interface Measure {
  readonly definition: MetricDefinition
  /** Whether events of this name and kind can matter to it; asked once per batch and name. */
  readonly concerns: (name: string, kind: EventKind) => boolean
  /** `null` when the event is not observed. Only for events it is concerned with. */
  readonly observe: (event: ObservedEvent) => Observation | null
  /** Whether `contribute` needs the moments, or the days alone. Facts of devices keep moments in any case. */
  readonly keepsPoints: boolean
  readonly contribute: (fact: Fact, emit: Emit) => void
  /**
   * The same as `contribute(before, subtract)` and `contribute(after, add)`, without what cancels out: most of what a
   * person contributed before a step it still contributes after it.
   */
  readonly contributeChange: (before: Fact, after: Fact, subtract: Emit, add: Emit) => void
  /** What the event adds by itself, whoever did it. `null` for measures of persons only. */
  readonly tally: ((event: ObservedEvent, day: Day, emit: Emit, emitDecimal: EmitDecimal) => void) | null
}

/** The change of a contribution, by its definition: for measures that know no shorter way. */
export const wholeChange =
  (contribute: Measure["contribute"]): Measure["contributeChange"] =>
  (before, after, subtract, add) => {
    if (before.size > 0) contribute(before, subtract)
    if (after.size > 0) contribute(after, add)
  }
