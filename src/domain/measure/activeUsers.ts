import type { MetricDefinition } from "../metric/definition.ts"
import { boundedItem } from "../metric/boundedItem.ts"
import { compileFilter, fieldReader, type ObservedEvent } from "../metric/filter.ts"
import { daysOfMask } from "./Fact.ts"
import type { Measure } from "./Measure.ts"

/** Persons a day (`users`) and events a day (`events`), for each value of the breakdown. */
export const activeUsers = (definition: MetricDefinition): Measure => {
  const filter = compileFilter(definition.filter ?? {})
  const valueOf = breakdownReader(definition)
  return {
    definition,
    concerns: filter.named,
    keepsPoints: false,
    observe: (event) => {
      if (!filter.holds(event)) return null
      const value = valueOf(event)
      return value === undefined ? null : { value, label: "" }
    },
    contribute: (fact, emit) => {
      for (const { value, month, mask } of fact.values()) {
        for (const day of daysOfMask(month, mask)) emit(day, value, "users", 1)
      }
    },
    tally: countEvents(definition),
  }
}

/** Events a day, for each value of the breakdown; persons play no part. */
export const eventCount = (definition: MetricDefinition): Measure => ({
  definition,
  concerns: compileFilter(definition.filter ?? {}).named,
  keepsPoints: false,
  observe: () => null,
  contribute: () => undefined,
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
