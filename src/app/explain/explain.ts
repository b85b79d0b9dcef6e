import { Effect } from "effect"
import type { DistinctId } from "../../domain/identity/distinctId.ts"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import { liveMetrics } from "../../domain/metric/applied.ts"
import { isFormulaMetric, type MetricDefinition } from "../../domain/metric/definition.ts"
import { metricsUsed } from "../../domain/metric/formula.ts"
import { statisticOf, STATISTICS } from "../../domain/metric/statistics.ts"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { type Cell, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import type { Settings } from "../../domain/settings.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { readControl } from "../control.ts"
import { readStand } from "../query/adHoc.ts"
import { BadQuery } from "../query/errors.ts"
import { ask, qualityOf, type Frame, frame, askedBuild } from "../query/frame.ts"
import { inTwoPhases } from "../query/inTwoPhases.ts"
import { Attribution, type Person } from "./attribution.ts"
import { contributors } from "./contributors.ts"
import { type EventBehind, findEvidence, type Listed, LISTED_MAX, type ListedEvent, type Merge } from "./evidence.ts"

export interface ExplainInput {
  /** A local day: `YYYY-MM-DD`, `today`, `yesterday` or `N_days_ago`. */
  readonly date: string
  /** The item of the cell, such as a value of the breakdown or a funnel's step; default: none. */
  readonly item?: string | undefined
  /** The statistic; default: the one that the metric is asked for. */
  readonly stat?: string | undefined
  /** As in questions. */
  readonly asOf?: string | undefined
}

/** A number, and what it is made of. */
export interface Explanation extends Frame {
  readonly definition: MetricDefinition
  readonly settings: Settings
  /** `amount` is an exact decimal. */
  readonly cell: { readonly date: string; readonly item: string; readonly stat: string; readonly amount: string }
  /** Persons that add to it, most first; `ids: null` stands for events of nobody. */
  readonly persons: Listed<{ readonly ids: ReadonlyArray<DistinctId> | null; readonly contributes: string }>
  /** In the order of the log; `repeats` of them add nothing. */
  readonly events: Listed<EventBehind> & { readonly repeats: number }
  /** What reached the log after the day was over, and had a part in the number. */
  readonly since: {
    readonly dayOver: string
    readonly late: Listed<ListedEvent>
    readonly merges: Listed<Merge>
  }
}

const askExplain = Effect.fnUntraced(function* (metric: string, input: ExplainInput) {
  const question = yield* ask({ from: input.date, to: input.date })
  const { id, definition } = yield* askedBuild(question, metric)
  const { settings, zone, range } = question
  const queries = yield* ReadModelQueries
  const cell = yield* chooseCell(definition, input, yield* queries.cells(id, range), formatDay(range.from))
  const about = frame(definition, question, [cell], yield* qualityOf(range))
  const { extents, known } = yield* readStand(definition.name)
  const measure = compileMeasure(definition, zone)
  const attribution = new Attribution(known.rows, settings.mergeWindowMillis)
  const count = Effect.gen(function* () {
    const contributions = yield* contributors(measure, cell, extents, attribution, zone)
    const { dayOver, events, late, merges } = yield* findEvidence(
      measure,
      cell,
      extents,
      attribution,
      zone,
      contributions,
    )
    const most = Array.from(contributions, ([person, { amount }]) => ({ person, contributes: formatDecimal(amount) }))
      .sort((a, b) => Number(b.contributes) - Number(a.contributes))
      .slice(0, LISTED_MAX)
    const ids = attribution.idsOf(new Set(most.flatMap(({ person }) => (person === null ? [] : [person]))))
    const idsOf = (person: Person) => (person === null ? null : (ids.get(person) ?? []))
    return {
      ...about,
      definition,
      settings,
      cell: { date: about.from, item: cell.item, stat: cell.stat, amount: formatDecimal(parseDecimal(cell.amount)) },
      persons: {
        count: Array.from(contributions.keys()).filter((person) => person !== null).length,
        listed: most.map(({ person, contributes }) => ({ ids: idsOf(person), contributes })),
      },
      events,
      since: { dayOver: formatInstant(dayOver), late, merges },
    } satisfies Explanation
  })
  return { count }
})

const explainCell = inTwoPhases(askExplain)

/** What a number is made of: its definition, the persons and events behind it, and what changed it since its day was over. */
export const explain = Effect.fnUntraced(function* (metric: string, input: ExplainInput) {
  yield* refuseFormula(metric)
  return yield* explainCell(metric, input)
})

/** Formulas of other metrics have no cells, so the log is asked for them, and only where no metric of that name has any. */
const refuseFormula = Effect.fnUntraced(function* (metric: string) {
  const measures = yield* ReadModel.use(({ measures }) => measures)
  if (measures.some(({ definition, state }) => state === "live" && definition.name === metric)) return
  const found = liveMetrics(yield* readControl).get(metric)
  if (found === undefined || !isFormulaMetric(found)) return
  return yield* new BadQuery({
    problem: `${metric} is a ${found.formula.kind} of other metrics, and has no events of its own.`,
    remedy: `Explain what it is made of: ${[...new Set(metricsUsed(found))].join(", ")}.`,
  })
})

const chooseCell = Effect.fnUntraced(function* (
  definition: MetricDefinition,
  { item = "", stat = STATISTICS[definition.formula.kind][0]!.name }: ExplainInput,
  cells: ReadonlyArray<Cell>,
  date: string,
) {
  const found = cells.find((cell) => cell.item === item && cell.stat === stat)
  if (found !== undefined) return found
  const named = (name: string, value: string) => (value === "" ? "" : ` ${name} ${JSON.stringify(value)}`)
  // Other cells are what distinct persons of ranges are counted from.
  const answering = cells.filter((cell) => statisticOf(definition, cell.stat) !== undefined)
  const there = answering
    .toSorted((a, b) => Number(b.stat === stat) - Number(a.stat === stat))
    .slice(0, CELLS_NAMED_MAX)
    .map((cell) => `${named("--item", cell.item)} --stat ${cell.stat}`.trim())
  return yield* new BadQuery({
    problem: `${definition.name} has no cell${named("--item", item)} --stat ${stat} on ${date}: the number is 0, or is called otherwise.`,
    remedy:
      there.length === 0
        ? "It has none at all on that day."
        : `There are: ${there.join("; ")}${answering.length > there.length ? `; and ${answering.length - there.length} more` : ""}.`,
  })
})

/** Cells that a refusal names. */
const CELLS_NAMED_MAX = 12
