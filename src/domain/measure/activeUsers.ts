import type { MetricDefinition } from "../metric/definition.ts"
import { boundedItem } from "../metric/boundedItem.ts"
import { compileFilter, fieldReader, type ObservedEvent } from "../metric/filter.ts"
import { daysOfMask, EMPTY_FACT, type Fact } from "./Fact.ts"
import type { Emit, Measure } from "./Measure.ts"

/** Persons a day (`users`) and events a day (`events`), for each value of the breakdown. */
export const activeUsers = (definition: MetricDefinition): Measure => {
  const filter = compileFilter(definition.filter ?? {})
  const valueOf = breakdownReader(definition)
  return {
    definition,
    concerns: filter.named,
    keepsPoints: false,
    reach: "month",
    observe: (event) => {
      if (!filter.holds(event)) return null
      const value = valueOf(event)
      return value === undefined ? null : { value, label: "" }
    },
    contribute: (fact, emit) => emitDaysMissing(fact, EMPTY_FACT, emit),
    contributeChange: (before, after, subtract, add) => {
      emitDaysMissing(before, after, subtract)
      emitDaysMissing(after, before, add)
    },
    tally: countEvents(definition),
  }
}

/** One person on each day of a fact that another fact lacks. */
const emitDaysMissing = (fact: Fact, other: Fact, emit: Emit): void => {
  for (const [key, { value, month, mask }] of fact) {
    const missing = mask & ~(other.get(key)?.mask ?? 0)
    if (missing !== 0) for (const day of daysOfMask(month, missing)) emit(day, value, "users", 1)
  }
}

/** Events a day, for each value of the breakdown; persons play no part. */
export const eventCount = (definition: MetricDefinition): Measure => ({
  definition,
  concerns: compileFilter(definition.filter ?? {}).named,
  keepsPoints: false,
  reach: "month",
  observe: () => null,
  contribute: () => undefined,
  contributeChange: () => undefined,
  tally: countEvents(definition),
})

const countEvents = (definition: MetricDefinition): NonNullable<Measure["tally"]> => {
  const filter = compileFilter(definition.filter ?? {})
  const valueOf = breakdownReader(definition)
  return (event, day, emit) => {
    if (!filter.holds(event)) return
    const value = valueOf(event)
    if (value !== undefined) emit(day, value, "events", 1)
  }
}

/** Reads the breakdown value of an event: `""` when the metric has none, `undefined` when the event lacks it. */
export const breakdownReader = (definition: MetricDefinition): ((event: ObservedEvent) => string | undefined) => {
  if (definition.breakdown === undefined) return () => ""
  const read = fieldReader(definition.breakdown)
  return (event) => {
    const value = read(event)
    return value === undefined ? undefined : boundedItem(String(value))
  }
}
