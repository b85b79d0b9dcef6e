import { Effect } from "effect"
import { addDecimals, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import { pairKey } from "../../domain/projection/CellSums.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { ask, type Frame, frame, liveMeasure } from "./frame.ts"
import type { RangeInput } from "./range.ts"

export interface MetricAnswer extends Frame {
  /** One row per day, value of the breakdown (`""` without) and statistic; amounts are exact decimals as text. */
  readonly rows: ReadonlyArray<{
    readonly date: string
    readonly value: string
    readonly stat: string
    readonly amount: string
  }>
  /** Per value: amounts added up over the range. Persons are not added up: distinct ones of active users, else none. */
  readonly totals: ReadonlyArray<{ readonly value: string; readonly stat: string; readonly amount: string }>
}

/** Statistics that count persons a day, who may be the same on another day. */
const PERSON_STATS: ReadonlySet<string> = new Set(["users", "persons"])

/** The numbers of any applied metric as they stand in the read model. */
export const metric = Effect.fnUntraced(function* (name: string, input: RangeInput = {}) {
  const question = yield* ask(input)
  const measure = yield* liveMeasure(question, name)
  const queries = yield* ReadModelQueries
  const countsPersons = measure.definition.formula.kind === "active-users"
  // What uniques are counted from is no answer of its own.
  const stats = countsPersons ? { stats: ["users", "events"] } : {}
  const cells = yield* queries.cells(measure.id, question.range, stats)
  const sums = new Map<string, { value: string; stat: string; sum: typeof DECIMAL_ZERO }>()
  for (const { item, stat, amount } of cells) {
    const key = pairKey(stat, item)
    const known = sums.get(key) ?? { value: item, stat, sum: DECIMAL_ZERO }
    sums.set(key, { ...known, sum: addDecimals(known.sum, parseDecimal(amount)) })
  }
  const uniques = countsPersons ? yield* queries.uniquesByValue(measure.id, question.range) : new Map<string, number>()
  return {
    ...(yield* frame(measure.definition, question, cells)),
    rows: cells.map(({ day, item, stat, amount }) => ({ date: formatDay(day), value: item, stat, amount })),
    totals: [...sums.values()]
      .filter(({ stat }) => countsPersons || !PERSON_STATS.has(stat))
      .map(({ value, stat, sum }) => ({
        value,
        stat,
        amount: countsPersons && stat === "users" ? String(uniques.get(value) ?? 0) : formatDecimal(sum),
      })),
  } satisfies MetricAnswer
})
