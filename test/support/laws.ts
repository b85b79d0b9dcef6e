import fc from "fast-check"
import { expect } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { compileMeasure } from "../../src/domain/measure/compile.ts"
import type { Measure } from "../../src/domain/measure/Measure.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { Settings } from "../../src/domain/settings.ts"
import { arbHistory, type History, type HistoryOptions } from "./arbitraries/histories.ts"
import { type MemoryReadModel, PACKED_WHOLE, type Packing, projectEvents, zoneOf } from "./MemoryReadModel.ts"

/** What laws of measures are said with: how often they run, histories in any order and packing, and their projection. */

/** Runs of laws about joins and codecs, for each measure where a measure is involved. */
export const RUNS_PURE = 1000
/** Runs of cells against the oracle, for each measure. */
export const RUNS_ORACLE = 300
/** The same for funnels with every option, and runs of what grace does. */
export const RUNS_FUNNEL_ORACLE = 1500
/** Runs of every law that compares two projections, for each measure. */
export const RUNS_LAW = 80
/** Runs of laws of one kind of measure. */
export const RUNS_KIND = 200

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

export const define = (name: string, metric: Omit<MetricDefinition, "name" | "version">): MetricDefinition => ({
  name,
  version: 1,
  ...metric,
})

export const arbPacking: fc.Arbitrary<Packing> = fc.record({
  partitions: fc.integer({ min: 1, max: 5 }),
  batchSizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
  stepSizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
  // Clocks of writers may go back, and horizons may end between two batches.
  pauses: fc.array(fc.constantFrom(0, 0, 1, HOUR, HOUR + 1, 8 * DAY, -HOUR), { minLength: 1, maxLength: 5 }),
})

/** An id counts once for ever: then the numbers depend on the set of events alone. */
export const FOR_EVER: HistoryOptions = { dedupeHorizonMillis: null }

export const shuffled = <A>(values: ReadonlyArray<A>): fc.Arbitrary<Array<A>> =>
  fc.shuffledSubarray([...values], { minLength: values.length, maxLength: values.length })

/** A history, and the same events in another order of arrival. */
export const arbShuffled = (
  options: HistoryOptions = FOR_EVER,
): fc.Arbitrary<History & { readonly other: Array<Event> }> =>
  arbHistory(options).chain((history) => shuffled(history.events).map((other) => ({ ...history, other })))

export const measureOf = (definition: MetricDefinition, settings: Settings): Measure =>
  compileMeasure(definition, zoneOf(settings))

export const project = (
  events: ReadonlyArray<Event>,
  settings: Settings,
  definition: MetricDefinition,
  packing: Packing = PACKED_WHOLE,
): MemoryReadModel => projectEvents(events, settings, [measureOf(definition, settings)], packing)

/** Compares maps quickly; a difference is shown by vitest. */
export const expectSame = (actual: ReadonlyMap<string, unknown>, expected: ReadonlyMap<string, unknown>): void => {
  if (JSON.stringify([...actual]) === JSON.stringify([...expected])) return
  expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected))
  throw new Error(`same entries, another order: ${[...actual.keys()].join()} and ${[...expected.keys()].join()}`)
}
