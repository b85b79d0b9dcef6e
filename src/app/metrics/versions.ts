import { Effect } from "effect"
import { currentMetrics, isRetired, latestOf } from "../../domain/metric/applied.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { isFormulaMetric, type MetricDefinition } from "../../domain/metric/definition.ts"
import { differencesOf, type FieldDifference } from "../../domain/metric/differences.ts"
import { inTreeOrder } from "../../domain/metric/tree.ts"
import { type MeasureVersion, ReadModel } from "../../domain/projection/ReadModel.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { type Control, readControl } from "../control.ts"
import { BadQuery } from "../query/errors.ts"
import { noSuchMetric } from "./noSuchMetric.ts"

/**
 * Where a version stands: recorded and not yet picked up by a projection, being built, answering, replaced by a later one,
 * or retired with its metric.
 */
export type VersionState = "new" | "building" | "live" | "detached" | "retired"

/** One version of a metric and where it stands. */
export interface MetricVersion {
  readonly definition: MetricDefinition
  readonly state: VersionState
  /** When the log first had it; `null` for what is built in. */
  readonly appliedAt: string | null
}

const stateOf = (
  control: Control,
  measures: ReadonlyArray<MeasureVersion>,
  definition: MetricDefinition,
): VersionState => {
  const { name, version } = definition
  if (isRetired(control, definition)) return "retired"
  const held = measures.find((measure) => measure.definition.name === name && measure.definition.version === version)
  if (held !== undefined) return held.state
  if ((latestOf(control, name)?.version ?? version) > version) return "detached"
  // Nothing has to be built of a formula of other metrics.
  return isFormulaMetric(definition) ? "live" : "new"
}

const versionOf = (
  control: Control,
  measures: ReadonlyArray<MeasureVersion>,
  definition: MetricDefinition,
): MetricVersion => {
  const { name, version } = definition
  const fact = control.history.get(name)?.find((it) => it.what === "applied" && it.version === version)
  return {
    definition,
    state: stateOf(control, measures, definition),
    appliedAt: fact === undefined ? null : formatInstant(fact.at),
  }
}

const readBoth = Effect.gen(function* () {
  return { control: yield* readControl, measures: yield* ReadModel.use(({ measures }) => measures) }
})

/** Every version of a metric, ascending. */
const versionsOf = (control: Control, name: string): ReadonlyArray<MetricDefinition> =>
  control.definitions.get(name) ?? Object.values(BUILTIN_METRICS).filter((builtin) => builtin.name === name)

/**
 * The metrics that there are, as a tree: each with its depth, its latest version, and the one that still answers until that
 * is built. Those that were retired come last.
 */
export const listMetrics = Effect.fn("listMetrics")(function* () {
  const { control, measures } = yield* readBoth
  const current = inTreeOrder(currentMetrics(control)).flatMap(({ definition, depth }) => {
    const answering = measures.filter(
      (measure) => measure.definition.name === definition.name && measure.definition.version < definition.version,
    )
    return [definition, ...answering.map((measure) => measure.definition)].map((version) => ({
      ...versionOf(control, measures, version),
      depth,
    }))
  })
  const retired = [...control.definitions.values()]
    .map((versions) => versions.at(-1)!)
    .filter((latest) => isRetired(control, latest))
    .map((latest) => ({ ...versionOf(control, measures, latest), depth: 0 }))
  return [...current, ...retired]
})

/** One version of a metric, by default the latest. */
export const showMetricVersion = Effect.fn("showMetricVersion")(function* (name: string, version?: number) {
  const { control, measures } = yield* readBoth
  const versions = versionsOf(control, name)
  if (versions.length === 0) return yield* noSuchMetric(name, control)
  const found = version === undefined ? versions.at(-1) : versions.find((one) => one.version === version)
  if (found === undefined) {
    return yield* new BadQuery({
      problem: `${name} has no version ${version}.`,
      remedy: `It has ${versions.map((one) => one.version).join(", ")}.`,
    })
  }
  return versionOf(control, measures, found)
})

/** One thing that happened to a metric. */
export interface HistoryEntry {
  readonly what: "built in" | "applied" | "retired"
  readonly version: number
  /** `null` for what is built in. */
  readonly at: string | null
  readonly state: VersionState
  /** Against the version before; empty for the first, and where it was retired. */
  readonly fields: ReadonlyArray<FieldDifference>
}

/** What happened to a metric, oldest first. */
export const metricHistory = Effect.fn("metricHistory")(function* (name: string) {
  const { control, measures } = yield* readBoth
  const versions = versionsOf(control, name)
  if (versions.length === 0) return yield* noSuchMetric(name, control)
  const facts = control.history.get(name)
  if (facts === undefined) {
    return versions.map((definition): HistoryEntry => ({
      what: "built in",
      version: definition.version,
      at: null,
      state: stateOf(control, measures, definition),
      fields: [],
    }))
  }
  return facts.map(({ what, version, at }): HistoryEntry => {
    const place = versions.findIndex((definition) => definition.version === version)
    const before = versions[place - 1]
    return {
      what,
      version,
      at: formatInstant(at),
      state: stateOf(control, measures, versions[place]!),
      fields: what === "retired" || before === undefined ? [] : differencesOf(before, versions[place]!),
    }
  })
})
