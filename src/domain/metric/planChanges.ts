import { type AppliedMetrics, BUILTIN_NAMES, currentMetrics, isRetired, latestOf } from "./applied.ts"
import { buildsMeasure, type MetricDefinition } from "./definition.ts"
import { countsTheSame, differencesOf, type FieldDifference } from "./differences.ts"

/** A metric that the log has not. */
export interface Addition {
  readonly name: string
  readonly version: number
  /** Whether a version has to be built for it from the log. */
  readonly builds: boolean
}

/** A new version of a metric that the log has. */
export interface Change {
  readonly name: string
  readonly from: number
  readonly to: number
  /** Whether the metric was retired, and comes back. */
  readonly revives: boolean
  readonly fields: ReadonlyArray<FieldDifference>
  /** What the author expects of the numbers against those of the version before. */
  readonly expect: "same" | "different"
  /** Whether a version has to be built for it from the log: not if only descriptions differ, nor for formulas of other metrics. */
  readonly builds: boolean
}

/** A version beside the one of its metric that answers; `null` where none does. */
export interface Standing {
  readonly name: string
  readonly version: number
  readonly live: number | null
}

/** What applying definitions would change. */
export interface MetricsPlan {
  readonly added: ReadonlyArray<Addition>
  readonly changed: ReadonlyArray<Change>
  /** Versions that the log has exactly so and that wait to be promoted, which applying them again does. */
  readonly waiting: ReadonlyArray<Standing>
  /** Versions that the log has exactly so, and that were gone back from or given up: applying them changes nothing. */
  readonly passedOver: ReadonlyArray<Standing>
  /** Metrics that the log has exactly so, and that answer so. */
  readonly unaffected: ReadonlyArray<{ readonly name: string; readonly version: number }>
  /** Metrics that were applied and that these definitions don't mention: they stay as they are. */
  readonly unmentioned: ReadonlyArray<string>
  /** The versions to be built from the log. */
  readonly builds: ReadonlyArray<{ readonly name: string; readonly version: number }>
}

/** Compares definitions that can be applied (`checkDefinitions`) with what the log has. */
export const planChanges = (applied: AppliedMetrics, definitions: ReadonlyArray<MetricDefinition>): MetricsPlan => {
  const added: Array<Addition> = []
  const changed: Array<Change> = []
  const unaffected: Array<{ name: string; version: number }> = []
  const waiting: Array<Standing> = []
  const passedOver: Array<Standing> = []
  for (const definition of definitions) {
    const { name, version } = definition
    const latest = latestOf(applied, name)
    if (latest === undefined) added.push({ name, version, builds: buildsMeasure(definition) })
    else if (latest.version === version) {
      const { live, versions } = applied.metrics.get(name)!
      const { kept, liveSince } = versions.at(-1)!
      if (live === version) unaffected.push({ name, version })
      else if (kept && liveSince === null) waiting.push({ name, version, live })
      else passedOver.push({ name, version, live })
    } else changed.push(changeOf(latest, definition, isRetired(applied, latest)))
  }
  const mentioned = new Set(definitions.map(({ name }) => name))
  return {
    added,
    changed,
    waiting,
    passedOver,
    unaffected,
    unmentioned: Array.from(currentMetrics(applied).keys()).filter(
      (name) => !mentioned.has(name) && !BUILTIN_NAMES.has(name),
    ),
    builds: [
      ...added.filter(({ builds }) => builds).map(({ name, version }) => ({ name, version })),
      ...changed.filter(({ builds }) => builds).map(({ name, to }) => ({ name, version: to })),
    ],
  }
}

const changeOf = (before: MetricDefinition, after: MetricDefinition, revives: boolean): Change => {
  const fields = differencesOf(before, after)
  const counts = !countsTheSame(before, after)
  return {
    name: after.name,
    from: before.version,
    to: after.version,
    revives,
    fields,
    expect: after.expect ?? (counts ? "different" : "same"),
    builds: buildsMeasure(after) && (counts || revives),
  }
}
