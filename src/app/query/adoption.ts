import { Effect } from "effect"
import { boundedItem } from "../../domain/metric/boundedItem.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { type Cell, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { ask, AT_ONCE, type Frame, frame, askedBuild, qualityOf } from "./frame.ts"
import type { RangeInput } from "./range.ts"

export interface AdoptionInput extends RangeInput {
  /** Only this feature. */
  readonly feature?: string | undefined
}

export interface FeatureAdoption {
  readonly featureName: string
  readonly uniqueUsers: number
  /** Persons active in the range, whatever they did. */
  readonly totalUsers: number
  /** `uniqueUsers / totalUsers`; `null` when nobody was active. */
  readonly adoptionRate: number | null
  readonly usageCount: number
  /** Days of the range with at least one use. */
  readonly dailyUsage: ReadonlyArray<{ readonly date: string; readonly users: number; readonly uses: number }>
}

export interface AdoptionAnswer extends Frame {
  /** Persons active in the range, whatever they did. */
  readonly totalUsers: number
  /** Most users first. */
  readonly features: ReadonlyArray<FeatureAdoption>
}

/** How many of the active persons use each feature. */
export const adoption = Effect.fnUntraced(function* (input: AdoptionInput = {}) {
  const question = yield* ask(input)
  const measure = yield* askedBuild(question, BUILTIN_METRICS.featureAdoption.name)
  const queries = yield* ReadModelQueries
  const feature = input.feature === undefined ? undefined : boundedItem(input.feature)
  const everybody = yield* askedBuild(question, BUILTIN_METRICS.activeUsers.name)
  const [cells, uniques, ofEverybody, quality] = yield* Effect.all(
    [
      queries.cells(measure.id, question.range, {
        stats: ["users", "events"],
        ...(feature === undefined ? {} : { item: feature }),
      }),
      queries.uniquesByValue(measure.id, question.range, feature),
      queries.uniquesByValue(everybody.id, question.range, ""),
      qualityOf(question.range),
    ],
    AT_ONCE,
  )
  const totalUsers = ofEverybody.get("") ?? 0
  return {
    ...frame(measure.definition, question, cells, quality),
    totalUsers,
    features: adoptionOf(cells, uniques, totalUsers),
  } satisfies AdoptionAnswer
})

/** Adoption of each value of a measure with a breakdown. */
const adoptionOf = (
  cells: ReadonlyArray<Cell>,
  uniques: ReadonlyMap<string, number>,
  totalUsers: number,
): ReadonlyArray<FeatureAdoption> => {
  const usage = new Map<string, Array<{ date: string; users: number; uses: number }>>()
  // Cells come in the order of their days.
  for (const [day, ofDay] of Map.groupBy(cells, ({ day }) => day)) {
    const date = formatDay(day)
    for (const { item, stat, amount } of ofDay) {
      let daily = usage.get(item)
      if (daily === undefined) usage.set(item, (daily = []))
      if (daily.at(-1)?.date !== date) daily.push({ date, users: 0, uses: 0 })
      daily.at(-1)![stat === "users" ? "users" : "uses"] = Number(amount)
    }
  }
  return Array.from(usage, ([featureName, dailyUsage]): FeatureAdoption => {
    const uniqueUsers = uniques.get(featureName) ?? 0
    return {
      featureName,
      uniqueUsers,
      totalUsers,
      adoptionRate: totalUsers === 0 ? null : uniqueUsers / totalUsers,
      usageCount: dailyUsage.reduce((sum, { uses }) => sum + uses, 0),
      dailyUsage,
    }
  }).sort((a, b) => b.uniqueUsers - a.uniqueUsers || (a.featureName < b.featureName ? -1 : 1))
}
