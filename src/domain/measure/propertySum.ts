import type { Formula, MetricDefinition } from "../metric/definition.ts"
import { boundedItem } from "../metric/boundedItem.ts"
import { compileFilter, fieldReader } from "../metric/filter.ts"
import { breakdownReader } from "./activeUsers.ts"
import { decimalOf, formatDecimal } from "./decimal.ts"
import type { Measure } from "./Measure.ts"

/**
 * Exact sum (`sum`) and number (`count`) of a numeric property a day. With a currency field each currency has its own
 * (`sum:EUR`, `count:EUR`). What is no finite JSON number is left out and counted as `not-a-number`.
 */
export const propertySum = (
  definition: MetricDefinition,
  formula: Extract<Formula, { kind: "property-sum" }>,
): Measure => {
  const filter = compileFilter(definition.filter ?? {}, definition.renamed)
  const valueOf = breakdownReader(definition)
  const amountOf = fieldReader(formula.property, definition.renamed)
  const currencyOf = formula.currency === undefined ? undefined : fieldReader(formula.currency, definition.renamed)
  return {
    definition,
    concerns: filter.named,
    keepsPoints: false,
    observe: () => null,
    contribute: () => undefined,
    contributeChange: () => undefined,
    tally: (event, day, emit, emitDecimal) => {
      if (!filter.holds(event)) return
      const value = valueOf(event)
      if (value === undefined) return
      const amount = amountOf(event)
      if (typeof amount !== "number" || !Number.isFinite(amount)) return emit(day, value, "not-a-number", 1)
      const suffix = currencyOf === undefined ? "" : `:${boundedItem(String(currencyOf(event) ?? ""))}`
      emitDecimal(day, value, `sum${suffix}`, formatDecimal(decimalOf(amount)))
      emit(day, value, `count${suffix}`, 1)
    },
  }
}
