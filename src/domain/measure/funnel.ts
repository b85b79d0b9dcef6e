import type { EventKind } from "../event/Event.ts"
import type { FunnelFormula, MetricDefinition, Renames } from "../metric/definition.ts"
import { compileFilter, type ObservedEvent } from "../metric/filter.ts"
import type { Day } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { timedLabelsOf } from "./Fact.ts"
import { funnelReader } from "./funnelReader.ts"
import { type Measure, wholeChange } from "./Measure.ts"

/**
 * Persons that reached each step, by local day of their entry: `users` and, from the second step on,
 * `from_previous_ms` (sum), item = step number from 1.
 */
export const funnel = (definition: MetricDefinition, formula: FunnelFormula, zone: TimeZone): Measure => {
  const entriesOf = funnelReader(formula)
  const matcher = funnelMatcher(formula, definition.renamed)
  const contribute: Measure["contribute"] = (fact, emit) => {
    const history = entriesOf(timedLabelsOf(fact))
    // Grouped, not cut at midnights: where clocks go back over midnight, a local day has two parts.
    const entriesOfDay = new Map<Day, Array<number>>()
    for (const entry of history.entries) {
      const day = zone.dayOf(entry)
      const entries = entriesOfDay.get(day)
      if (entries === undefined) entriesOfDay.set(day, [entry])
      else entries.push(entry)
    }
    for (const [day, entries] of entriesOfDay) {
      const attempt = history.bestOf(entries)
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
