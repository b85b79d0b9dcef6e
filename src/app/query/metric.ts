import { Effect } from "effect"
import { addDecimals, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import { isRetired, latestOf, liveMetrics } from "../../domain/metric/applied.ts"
import { isFormulaMetric } from "../../domain/metric/definition.ts"
import { STATISTICS, statisticOf } from "../../domain/metric/statistics.ts"
import { pairKey } from "../../domain/projection/CellSums.ts"
import { parseBuildName } from "../../domain/projection/buildName.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { readControl } from "../control.ts"
import { BadQuery } from "./errors.ts"
import { formulaMetric } from "./formulaMetric.ts"
import { ask, AT_ONCE, qualityOf, frame, askedBuild, type Question } from "./frame.ts"
import type { MetricAnswer } from "./metricAnswer.ts"
import type { RangeInput } from "./range.ts"

/**
 * The numbers of any applied metric as they stand in the read model. Formulas of other metrics have no cells, so only where
 * no metric of that name has any they are looked for in the log, which holds them, and outside the snapshot.
 */
export const metric = Effect.fnUntraced(function* (name: string, input: RangeInput = {}) {
  const { snapshot } = yield* ReadModelQueries
  const measured = yield* snapshot(
    Effect.gen(function* () {
      const question = yield* ask(input)
      const isMeasured =
        (parseBuildName(name)?.version ?? null) !== null ||
        question.measures.some(({ definition, state }) => state === "live" && definition.name === name)
      return isMeasured ? yield* measuredMetric(name, question) : null
    }),
  )
  if (measured !== null) return measured
  const control = yield* readControl
  const formulas = [...liveMetrics(control).values()].filter(isFormulaMetric)
  const asked = formulas.find((formula) => formula.name === name)
  if (asked !== undefined) return yield* snapshot(formulaMetric(asked, formulas, input))
  const latest = latestOf(control, name)
  if (latest !== undefined && isRetired(control, latest)) {
    return yield* new BadQuery({
      problem: `The metric ${name} was retired with version ${latest.version}.`,
      remedy: `"tidemark metrics history ${name}" shows its versions; applying version ${latest.version + 1} brings it back.`,
    })
  }
  return yield* snapshot(Effect.flatMap(ask(input), (question) => measuredMetric(name, question)))
})

/** The numbers of a metric that has cells. */
const measuredMetric = Effect.fnUntraced(function* (name: string, question: Question) {
  const measure = yield* askedBuild(question, name)
  const queries = yield* ReadModelQueries
  const countsPersons = measure.definition.formula.kind === "active-users"
  // What uniques are counted from is no answer of its own.
  const stats = countsPersons ? { stats: STATISTICS["active-users"].map(({ name }) => name) } : {}
  const [cells, uniques, quality] = yield* Effect.all(
    [
      queries.cells(measure.id, question.range, stats),
      countsPersons ? queries.uniquesByValue(measure.id, question.range) : Effect.succeed(new Map<string, number>()),
      qualityOf(question.range),
    ],
    AT_ONCE,
  )
  const sums = new Map<string, { value: string; stat: string; sum: typeof DECIMAL_ZERO }>()
  for (const { item, stat, amount } of cells) {
    const key = pairKey(stat, item)
    const known = sums.get(key) ?? { value: item, stat, sum: DECIMAL_ZERO }
    sums.set(key, { ...known, sum: addDecimals(known.sum, parseDecimal(amount)) })
  }
  const totalOf = (stat: string) => statisticOf(measure.definition, stat)?.total ?? null
  return {
    ...frame(measure.definition, question, cells, quality),
    uses: [],
    rows: cells.map(({ day, item, stat, amount }) => ({ date: formatDay(day), value: item, stat, amount })),
    totals: [...sums.values()]
      .filter(({ stat }) => totalOf(stat) !== null)
      .map(({ value, stat, sum }) => ({
        value,
        stat,
        amount: totalOf(stat) === "distinct" ? String(uniques.get(value) ?? 0) : formatDecimal(sum),
      })),
  } satisfies MetricAnswer
})
