import { BUILTIN_METRICS } from "./builtin.ts"
import { isFormulaMetric, type MetricDefinition } from "./definition.ts"

/** What the log says about metrics: every version applied, and up to which version each was retired. */
export interface AppliedMetrics {
  /** By metric name, versions ascending. */
  readonly definitions: ReadonlyMap<string, ReadonlyArray<MetricDefinition>>
  /** By metric name: the last version that was retired. */
  readonly retired: ReadonlyMap<string, number>
}

/** Names that definition files may not take. */
export const BUILTIN_NAMES: ReadonlySet<string> = new Set(Object.values(BUILTIN_METRICS).map(({ name }) => name))

/** The latest version of a metric that was applied, retired or not. */
export const latestOf = ({ definitions }: AppliedMetrics, name: string): MetricDefinition | undefined =>
  definitions.get(name)?.at(-1)

/** Whether a version, and all before it, was taken away. */
export const isRetired = ({ retired }: AppliedMetrics, { name, version }: MetricDefinition): boolean =>
  version <= (retired.get(name) ?? 0)

/** The metrics that there are: the built-in ones and the latest version of every other that was not retired. */
export const currentMetrics = (applied: AppliedMetrics): ReadonlyMap<string, MetricDefinition> =>
  new Map(
    [
      ...Object.values(BUILTIN_METRICS),
      ...[...applied.definitions.values()].map((versions) => versions.at(-1)!),
    ].flatMap((definition) => (isRetired(applied, definition) ? [] : [[definition.name, definition] as const])),
  )

/** Whether a version that has cells answers no more: it was retired, or its metric is a formula of others now. */
export const isOver = (applied: AppliedMetrics, definition: MetricDefinition): boolean => {
  const latest = latestOf(applied, definition.name)
  return (
    isRetired(applied, definition) ||
    (latest !== undefined && latest.version > definition.version && isFormulaMetric(latest))
  )
}
