import { Effect, Stream } from "effect"
import { namesLookedAt } from "../../domain/metric/eventsNamed.ts"
import { oracle, type OracleInput } from "../../domain/oracle/oracle.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { isLeftOut } from "../../domain/projection/Operations.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
import { type Cell, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay, parseDay } from "../../domain/time/calendar.ts"
import { provePositions } from "../provePosition.ts"
import { ask, asOfStanding, askedBuild, nothingProjected } from "../query/frame.ts"
import { readBatches } from "../readBatches.ts"
import { countingNowhere } from "./countingNowhere.ts"
import { compareWithOracle, type Difference } from "./difference.ts"
import { parseSample, sampleDays } from "./sample.ts"

/** What is compared; everything where nothing is said. */
export interface VerifyOptions {
  /** Metrics, or builds of them that hold numbers: `clicks` for the live one, `clicks@2`, `clicks@2.3`. */
  readonly metrics?: ReadonlyArray<string>
  /** Local days as in questions, both included. */
  readonly from?: string | undefined
  readonly to?: string | undefined
  /** Only some of the days, chosen by the place in the log: a share such as `10%`, or a number of them. */
  readonly sample?: string | undefined
}

export interface Verified {
  readonly events: number
  readonly cells: number
  /** The one place in the log for which all of it holds; `null` before anything is projected. */
  readonly asOf: { readonly cut: string | null }
  /** The days of the sample, ascending; `null` where none was taken. */
  readonly days: ReadonlyArray<string> | null
  readonly differences: ReadonlyArray<Difference>
}

const EVERY_DAY = { from: parseDay("0000-01-01")!, to: parseDay("9999-12-31")! }

/**
 * Recomputes cells from the log with the naive oracle and compares them with the read model, at the place in the log where
 * the read model stood at one moment; projection may go on. Holds all events in memory, those that none of the metrics
 * looks at without their properties.
 */
export const verify = Effect.fn("verify")(function* ({ metrics, from, to, sample: asked }: VerifyOptions = {}) {
  const queries = yield* ReadModelQueries
  const sample = asked === undefined ? null : yield* parseSample(asked)
  yield* provePositions
  const { settings, zone, range, measures, failures, cut, ends, cells } = yield* queries.snapshot(
    Effect.gen(function* () {
      const question = yield* ask({ from, to })
      if (question.measures.length === 0) return yield* nothingProjected()
      const { settings, zone } = question
      const range = from === undefined && to === undefined ? EVERY_DAY : question.range
      const measures =
        metrics === undefined
          ? question.measures.filter(({ state }) => state === "live")
          : [...new Set(yield* Effect.forEach(metrics, (name) => askedBuild(question, name)))]
      const failures = Map.groupBy(yield* queries.failures, (it) => placeOf(it))
      const { cut } = asOfStanding(question)
      const ends = question.checkpoints.map(({ position }) => position)
      const cells = new Map<number, ReadonlyArray<Cell>>()
      for (const { id } of measures) cells.set(id, yield* queries.cells(id, range))
      return { settings, zone, range, measures, failures, cut, ends, cells }
    }),
  )
  // Events that ended the process are in no measure, or not in those that were being built just then.
  const isOut = (metric: string | null, place: string) => failures.get(place)?.some(isLeftOut(metric)) === true
  const names = namesLookedAt(measures.map(({ definition }) => definition))
  const input: Array<OracleInput> = []
  const partly = new Map<OracleInput, string>()
  for (const { partition, sequence: upTo } of ends) {
    let logTime = 0
    yield* readBatches(partition, { upTo }).pipe(
      Stream.runForEach(({ position, batch }) =>
        Effect.sync(() => {
          logTime = Math.max(logTime, batch.origin.loggedAt)
          const { sequence } = position
          for (const [place, event] of batch.events().entries()) {
            const at = placeOf({ partition, sequence, place })
            if (isOut(null, at)) continue
            const counts = names === null || names.has(event.name)
            const entry = { event: counts ? event : countingNowhere(event), partition, loggedAt: logTime }
            input.push(entry)
            if (failures.has(at)) partly.set(entry, at)
          }
        }),
      ),
    )
  }
  const first = formatDay(range.from)
  const last = formatDay(range.to)
  const isInRange = (date: string): boolean => range === EVERY_DAY || (date >= first && date <= last)
  const dates = function* () {
    for (const { event } of input) yield formatDay(zone.dayOf(event.time))
    for (const { day } of [...cells.values()].flat()) yield formatDay(day)
  }
  const sampled = sample === null ? null : sampleDays([...dates()].filter(isInRange), sample, cut ?? "")
  const isAsked = (date: string): boolean => isInRange(date) && (sampled === null || sampled.has(date))
  const days = range === EVERY_DAY && sampled === null ? null : isAsked
  // The oracle tells metrics apart by name, and several builds of one may be compared.
  const byBuild = (measure: Build) => ({ ...measure.definition, name: buildName(measure) })
  const expected = oracle(input, settings, measures.map(byBuild), days)
  const expectedOf = (measure: Build) => {
    const build = buildName(measure)
    const { name } = measure.definition
    const out = new Set(Array.from(partly).flatMap(([entry, at]) => (isOut(name, at) ? [entry] : [])))
    if (out.size === 0) return expected.cells.get(build)!
    const seen = input.map((entry) => (out.has(entry) ? { ...entry, event: countingNowhere(entry.event) } : entry))
    return oracle(seen, settings, [byBuild(measure)], days).cells.get(build)!
  }
  const compared = measures.map((measure) => {
    const found = cells.get(measure.id)!.filter(({ day }) => isAsked(formatDay(day)))
    return compareWithOracle(measure, found, expectedOf(measure))
  })
  return {
    events: input.length,
    cells: compared.reduce((sum, { cells }) => sum + cells, 0),
    asOf: { cut },
    days: sampled === null ? null : [...sampled].sort(),
    differences: compared.flatMap(({ differences }) => differences),
  } satisfies Verified
})

const placeOf = (it: { readonly partition: number; readonly sequence: number; readonly place: number }): string =>
  `${it.partition}/${it.sequence}/${it.place}`
