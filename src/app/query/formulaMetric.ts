import { Effect, Result } from "effect"
import { parseDecimal } from "../../domain/measure/decimal.ts"
import { boundedItem } from "../../domain/metric/boundedItem.ts"
import type { FormulaMetric } from "../../domain/metric/definition.ts"
import { evaluate, type Metrics, type NumberOf, numbersOf, resolveFormula } from "../../domain/metric/formula.ts"
import { addFractions, type Fraction, FRACTION_ZERO, formatFraction, fractionOf } from "../../domain/metric/fraction.ts"
import { type Cell, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { BadQuery } from "./errors.ts"
import { ask, qualityOf, frame } from "./frame.ts"
import type { MetricAnswer } from "./metricAnswer.ts"
import type { RangeInput } from "./range.ts"

/** What one number of a formula amounts to: by value on each day, and by value over the range. */
interface Series {
  readonly days: ReadonlyMap<number, ReadonlyMap<string, Fraction>>
  readonly totals: ReadonlyMap<string, Fraction>
}

/**
 * The numbers of a metric that is made of others, worked out from the cells of their live versions: for each day on which
 * one of them has a number, and for the range from their own totals, so that distinct persons stay distinct.
 */
export const formulaMetric = Effect.fnUntraced(function* (
  definition: FormulaMetric,
  formulas: ReadonlyArray<FormulaMetric>,
  input: RangeInput,
) {
  const question = yield* ask(input)
  const queries = yield* ReadModelQueries
  const live = question.measures.filter(({ state }) => state === "live")
  const metrics: Metrics = new Map(
    [...live.map((measure) => measure.definition), ...formulas].map((metric) => [metric.name, metric]),
  )
  const resolved = resolveFormula(definition, metrics)
  if (Result.isFailure(resolved)) {
    const { path, problem } = resolved.failure
    return yield* new BadQuery({
      problem: `The metric ${definition.name} can't be worked out from what is live: ${path}: ${problem}`,
      remedy: `"tidemark metrics list" shows what is live and what is still to be built.`,
    })
  }
  const { expression, uses } = resolved.success
  const cells: Array<Cell> = []
  const seriesOf = Effect.fnUntraced(function* ({ metric, stat, value, distinct }: NumberOf) {
    const { id } = live.find((measure) => measure.definition.name === metric)!
    const item = value === null ? null : boundedItem(value)
    const found = yield* queries.cells(id, question.range, { stats: [stat], ...(item === null ? {} : { item }) })
    cells.push(...found)
    const days = new Map<number, Map<string, Fraction>>()
    const totals = new Map<string, Fraction>()
    for (const cell of found) {
      const of = item === null ? cell.item : ""
      const amount = fractionOf(parseDecimal(cell.amount))
      const ofDay = days.get(cell.day) ?? new Map<string, Fraction>()
      days.set(cell.day, ofDay.set(of, amount))
      totals.set(of, addFractions(totals.get(of) ?? FRACTION_ZERO, amount))
    }
    if (distinct) {
      const uniques = yield* queries.uniquesByValue(id, question.range)
      for (const of of totals.keys()) {
        const users = uniques.get(item ?? of) ?? 0
        totals.set(of, fractionOf(parseDecimal(String(users))))
      }
    }
    return { days, totals } satisfies Series
  })
  const series = new Map<string, Series>()
  for (const number of numbersOf(expression)) {
    const key = keyOf(number)
    if (!series.has(key)) series.set(key, yield* seriesOf(number))
  }
  const all = [...series.values()]
  const amountOf = (numberOf: (series: Series) => Fraction | undefined): string | null => {
    const amount = evaluate(expression, (number) => numberOf(series.get(keyOf(number))!))
    return amount === null ? null : formatFraction(amount)
  }
  const stat = definition.formula.kind
  const days = [...new Set(all.flatMap(({ days }) => [...days.keys()]))].sort((a, b) => a - b)
  const answer: MetricAnswer = {
    ...frame(definition, question, cells, yield* qualityOf(question.range)),
    uses: uses.map(({ name, version }) => ({ metric: name, version })),
    rows: days.flatMap((day) =>
      valuesOf(all.map(({ days }) => days.get(day))).map((value) => ({
        date: formatDay(day),
        value,
        stat,
        amount: amountOf(({ days }) => days.get(day)?.get(value)),
      })),
    ),
    totals: valuesOf(all.map(({ totals }) => totals)).map((value) => ({
      value,
      stat,
      amount: amountOf(({ totals }) => totals.get(value)),
    })),
  }
  return answer
})

const keyOf = ({ metric, stat, value }: NumberOf): string => JSON.stringify([metric, stat, value])

/** The values that any of several numbers has, in order. */
const valuesOf = (numbers: ReadonlyArray<ReadonlyMap<string, Fraction> | undefined>): ReadonlyArray<string> =>
  [...new Set(numbers.flatMap((ofValue) => [...(ofValue?.keys() ?? [])]))].sort()
