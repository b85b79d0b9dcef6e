import { Effect, Result, Schema } from "effect"
import { type Fact, timedLabelsOf } from "../../domain/measure/Fact.ts"
import { funnel as funnelMeasure } from "../../domain/measure/funnel.ts"
import { funnelReader } from "../../domain/measure/funnelReader.ts"
import type { EachPerson } from "../../domain/measure/points.ts"
import { FunnelFormula, type MetricDefinition } from "../../domain/metric/definition.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { adHocFacts, readStand } from "./adHoc.ts"
import { inTwoPhases } from "./inTwoPhases.ts"
import { BadQuery } from "./errors.ts"
import { ask, AT_ONCE, qualityOf, type Frame, frame, askedBuild, type Question } from "./frame.ts"
import type { RangeInput } from "./range.ts"
import { unseenEvents } from "./unseenEvents.ts"

export interface FunnelInput extends RangeInput {
  /** Name of a funnel that was applied; or give `formula`. */
  readonly name?: string | undefined
  /** A funnel that nobody applied, answered from the stored events. */
  readonly formula?: unknown
}

export interface FunnelAnswer extends Frame {
  readonly funnel: string
  readonly steps: ReadonlyArray<{
    /** From 1. */
    readonly step: number
    readonly name: string
    readonly users: number
    /** Of the step before; 1 for the first when anybody entered; `null` when the step before has nobody. */
    readonly conversionRate: number | null
    readonly dropOff: number | null
    /** Time from the step before, of those who reached this one; `null` for the first and where nobody did. */
    readonly fromPrevious: { readonly medianSeconds: number; readonly averageSeconds: number } | null
  }>
  /** Last step over first; `null` when nobody entered. */
  readonly overallConversionRate: number | null
  /** What may be a slip, such as a step whose event was never seen. */
  readonly warnings: ReadonlyArray<string>
}

const askFunnel = Effect.fnUntraced(function* (input: FunnelInput) {
  const question = yield* ask(input)
  const queries = yield* ReadModelQueries
  if (input.name !== undefined) {
    const measure = yield* askedBuild(question, input.name, "funnel")
    const formula = measure.definition.formula as FunnelFormula
    const [cells, quality] = yield* Effect.all(
      [queries.cells(measure.id, question.range), qualityOf(question.range)],
      AT_ONCE,
    )
    const about = frame(measure.definition, question, cells, quality)
    const answer = answering(input.name, formula, question, about, yield* warningsOf(measure.definition, formula))
    const persons = yield* queries.personPoints(measure.id)
    return { count: Effect.sync(() => answer(persons)) }
  }
  const decoded = decodeFormula(input.formula)
  if (Result.isFailure(decoded)) {
    return yield* new BadQuery({
      problem: `This is no funnel: ${decoded.failure.message.replace(/\s+/g, " ")}.`,
      remedy: "Give at least two event names as --steps a,b, and a window such as --window 14d.",
    })
  }
  const formula = decoded.success
  const definition: MetricDefinition = { name: "ad_hoc", version: 1, formula }
  const about = frame(definition, question, [], yield* qualityOf(question.range))
  const answer = answering("ad hoc", formula, question, about, yield* warningsOf(definition, formula))
  const measure = funnelMeasure(definition, formula, question.zone)
  const stand = yield* readStand(null)
  const facts = adHocFacts(measure, stand, question.zone, question.settings.mergeWindowMillis)
  return { count: Effect.map(facts, (found) => answer(pointsOfEach(found.values()))) }
})

const pointsOfEach =
  (facts: Iterable<Fact>): EachPerson =>
  (visit) => {
    for (const fact of facts) visit(timedLabelsOf(fact))
  }

/** How many persons that entered in the range reached each step, and how long it took them. */
export const funnel = inTwoPhases(askFunnel)

const decodeFormula = Schema.decodeUnknownResult(FunnelFormula)

/** The answer but for the points of each person, which it is counted from. */
const answering =
  (name: string, formula: FunnelFormula, question: Question, about: Frame, warnings: ReadonlyArray<string>) =>
  (persons: EachPerson): FunnelAnswer => {
    const { range, zone } = question
    const entriesOf = funnelReader(formula)
    const users = formula.steps.map(() => 0)
    const seconds = formula.steps.map((): Array<number> => [])
    // Instants that no clock change can bring into another day than those of the range needn't be looked up.
    const [within, until] = [zone.startOfDay(range.from + 1), zone.startOfDay(range.to)]
    const isInRange = (entry: number): boolean => {
      if (entry >= within && entry < until) return true
      const day = zone.dayOf(entry)
      return day >= range.from && day <= range.to
    }
    persons((points) => {
      const attempt = entriesOf(points).bestWhere(isInRange)
      attempt?.reached.forEach((time, step) => {
        users[step]!++
        if (step > 0) seconds[step]!.push((time - attempt.reached[step - 1]!) / 1000)
      })
    })
    return {
      ...about,
      funnel: name,
      steps: formula.steps.map((step, n) => {
        const before = n === 0 ? users[0]! : users[n - 1]!
        const conversionRate = before === 0 ? null : users[n]! / before
        return {
          step: n + 1,
          name: step.name ?? step.event,
          users: users[n]!,
          conversionRate,
          dropOff: conversionRate === null ? null : 1 - conversionRate,
          fromPrevious: seconds[n]!.length === 0 ? null : summarise(seconds[n]!),
        }
      }),
      overallConversionRate: users[0] === 0 ? null : users[users.length - 1]! / users[0]!,
      warnings,
    }
  }

/** What may be a slip in a funnel. */
const warningsOf = ({ renamed }: MetricDefinition, formula: FunnelFormula) =>
  Effect.map(
    unseenEvents(
      formula.steps.map(({ event }) => event),
      renamed,
    ),
    (unseen) => unseen.map(({ event }) => `No activity named "${event}" is stored.`),
  )

/** Median (of an even number: the mean of the middle two) and mean of at least one number. */
const summarise = (values: ReadonlyArray<number>) => {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >>> 1
  return {
    medianSeconds: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    averageSeconds: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
  }
}
