import { Effect } from "effect"
import { currentMetrics, latestOf, retiredMetrics, versionsOf } from "../../domain/metric/applied.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { isFormulaMetric, type MetricDefinition } from "../../domain/metric/definition.ts"
import { differencesOf, type FieldDifference } from "../../domain/metric/differences.ts"
import type { MetricDecision } from "../../domain/metric/lifecycle.ts"
import { inTreeOrder } from "../../domain/metric/tree.ts"
import { type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { type Control, readControl } from "../control.ts"
import { BadQuery } from "../query/errors.ts"
import { noSuchMetric } from "./noSuchMetric.ts"

/**
 * Where a version stands: recorded and not yet picked up by a projection, being built, built and waiting to be promoted,
 * answering, replaced and kept, given up, or retired with its metric.
 */
export type VersionState = "new" | Build["state"] | "dropped" | "retired"

/** One version of a metric and where it stands. */
export interface MetricVersion {
  readonly definition: MetricDefinition
  readonly state: VersionState
  /** Builds of it in the read model, by age, where there are several. */
  readonly builds: ReadonlyArray<Pick<Build, "build" | "state">>
  /** When the log first had it, who applied it, and why; `null` for what is built in, and where nobody said. */
  readonly appliedAt: string | null
  readonly appliedBy: string | null
  readonly why: string | null
}

const buildsOf = (measures: ReadonlyArray<Build>, { name, version }: MetricDefinition) =>
  measures.filter(({ definition }) => definition.name === name && definition.version === version)

/** Of several builds of a version the one that is most to it. */
const STATES: ReadonlyArray<Build["state"]> = ["live", "ready", "detached", "building"]

/** What the log says, and what the read model holds. */
interface Known {
  readonly control: Control
  readonly measures: ReadonlyArray<Build>
}

const stateOf = ({ control, measures }: Known, definition: MetricDefinition): VersionState => {
  const { name, version } = definition
  const history = control.metrics.get(name)
  const ended = history?.decisions.some((it) => it.what === "metric_retired" && it.version >= version)
  if (ended === true) return "retired"
  const builds = buildsOf(measures, definition)
  const held = STATES.find((state) => builds.some((build) => build.state === state))
  if (held !== undefined) return held
  const applied = history?.versions.find((it) => it.definition.version === version)
  if (applied?.kept === false) return "dropped"
  // Nothing has to be built of a formula of other metrics.
  if (isFormulaMetric(definition)) return history?.live === version ? "live" : "ready"
  return "new"
}

const versionOf = (known: Known, definition: MetricDefinition): MetricVersion => {
  const { control, measures } = known
  const { name, version } = definition
  const builds = buildsOf(measures, definition)
  const applied = control.metrics
    .get(name)
    ?.decisions.find((it) => it.what === "metric_applied" && it.version === version)
  return {
    definition,
    state: stateOf(known, definition),
    builds: builds.length > 1 ? builds.map(({ build, state }) => ({ build, state })) : [],
    appliedAt: applied === undefined ? null : formatInstant(applied.at),
    appliedBy: applied?.by ?? null,
    why: applied?.why ?? null,
  }
}

const readBoth = Effect.gen(function* () {
  return { control: yield* readControl, measures: yield* ReadModel.use(({ measures }) => measures) } satisfies Known
})

/** Every version of a metric, built in or applied, ascending. */
const allVersionsOf = (control: Control, name: string): ReadonlyArray<MetricDefinition> => {
  const builtin = Object.values(BUILTIN_METRICS).filter((metric) => metric.name === name)
  return builtin.length > 0 ? builtin : versionsOf(control, name)
}

/**
 * The metrics that there are, as a tree: each with its depth, its latest version, and the earlier ones that the read model
 * holds. Those that were retired come last.
 */
export const listMetrics = Effect.fn("listMetrics")(function* () {
  const known = yield* readBoth
  const { control, measures } = known
  const current = inTreeOrder(currentMetrics(control)).flatMap(({ definition, depth }) => {
    const held = new Map(
      measures
        .filter((it) => it.definition.name === definition.name && it.definition.version < definition.version)
        .map((it) => [it.definition.version, it.definition]),
    )
    return [definition, ...[...held.values()].reverse()].map((version) => ({
      ...versionOf(known, version),
      depth,
    }))
  })
  const retired = retiredMetrics(control).map((latest) => ({ ...versionOf(known, latest), depth: 0 }))
  return [...current, ...retired]
})

/** One version of a metric, by default the latest. */
export const showMetricVersion = Effect.fn("showMetricVersion")(function* (name: string, version?: number) {
  const known = yield* readBoth
  const { control } = known
  const versions = allVersionsOf(control, name)
  if (versions.length === 0) return yield* noSuchMetric(name, control)
  const found = version === undefined ? versions.at(-1) : versions.find((one) => one.version === version)
  if (found === undefined) {
    return yield* new BadQuery({
      problem: `${name} has no version ${version}.`,
      remedy: `It has ${versions.map((one) => one.version).join(", ")}.`,
    })
  }
  return versionOf(known, found)
})

/** One thing that happened to a metric. */
export interface HistoryEntry {
  readonly what: "built in" | "applied" | "promoted" | "rolled back" | "dropped" | "retired"
  readonly version: number
  /** Where it was about one of several builds of the version. */
  readonly build: number | null
  /** `null` for what is built in, and where nobody said. */
  readonly at: string | null
  readonly by: string | null
  readonly why: string | null
  readonly state: VersionState
  /** Of a version that was applied, against the version before. */
  readonly fields: ReadonlyArray<FieldDifference>
}

const WORDS: Readonly<Record<MetricDecision["what"], HistoryEntry["what"]>> = {
  metric_applied: "applied",
  metric_promoted: "promoted",
  metric_rolled_back: "rolled back",
  metric_dropped: "dropped",
  metric_retired: "retired",
}

/** What happened to a metric, oldest first. */
export const metricHistory = Effect.fn("metricHistory")(function* (name: string) {
  const known = yield* readBoth
  const { control } = known
  const versions = allVersionsOf(control, name)
  if (versions.length === 0) return yield* noSuchMetric(name, control)
  const history = control.metrics.get(name)
  if (history === undefined) {
    return versions.map((definition): HistoryEntry => ({
      what: "built in",
      version: definition.version,
      build: null,
      at: null,
      by: null,
      why: null,
      state: stateOf(known, definition),
      fields: [],
    }))
  }
  return history.decisions.map(({ what, version, build, at, by, why }): HistoryEntry => {
    const place = versions.findIndex((definition) => definition.version === version)
    const before = versions[place - 1]
    return {
      what: WORDS[what],
      version,
      build,
      at: formatInstant(at),
      by,
      why,
      state: stateOf(known, versions[place] ?? latestOf(control, name)!),
      fields: what !== "metric_applied" || before === undefined ? [] : differencesOf(before, versions[place]!),
    }
  })
})
