import { BUILTIN_METRICS } from "./builtin.ts"
import type { MetricDefinition } from "./definition.ts"
import type { MetricHistories } from "./lifecycle.ts"

/** What the log says about metrics. */
export interface AppliedMetrics {
  readonly metrics: MetricHistories
}

/** Names that definition files may not take. */
export const BUILTIN_NAMES: ReadonlySet<string> = new Set(Object.values(BUILTIN_METRICS).map(({ name }) => name))

/** Every version of a metric that was applied, ascending. */
export const versionsOf = ({ metrics }: AppliedMetrics, name: string): ReadonlyArray<MetricDefinition> =>
  metrics.get(name)?.versions.map(({ definition }) => definition) ?? []

/** The latest version of a metric that was applied, retired or not. */
export const latestOf = (applied: AppliedMetrics, name: string): MetricDefinition | undefined =>
  versionsOf(applied, name).at(-1)

/** Whether a metric was applied and then taken away. */
export const isRetired = ({ metrics }: AppliedMetrics, { name }: Pick<MetricDefinition, "name">): boolean =>
  metrics.get(name)?.live === null

/** The latest versions of all metrics that were retired. */
export const retiredMetrics = (applied: AppliedMetrics): ReadonlyArray<MetricDefinition> =>
  latestVersions(applied).filter((definition) => isRetired(applied, definition))

/** The metrics that there are: the built-in ones and the latest version of every other that was not retired. */
export const currentMetrics = (applied: AppliedMetrics): ReadonlyMap<string, MetricDefinition> =>
  new Map(
    [...Object.values(BUILTIN_METRICS), ...latestVersions(applied)].flatMap((definition) =>
      isRetired(applied, definition) ? [] : [[definition.name, definition] as const],
    ),
  )

/** The version of each metric that answers queries as soon as it is built. */
export const liveMetrics = ({ metrics }: AppliedMetrics): ReadonlyMap<string, MetricDefinition> =>
  new Map(
    [
      ...Object.values<MetricDefinition>(BUILTIN_METRICS),
      ...Array.from(metrics.values()).flatMap(({ versions, live }) =>
        versions.flatMap(({ definition }) => (definition.version === live ? [definition] : [])),
      ),
    ].map((definition) => [definition.name, definition]),
  )

const latestVersions = ({ metrics }: AppliedMetrics): ReadonlyArray<MetricDefinition> =>
  Array.from(metrics.values()).flatMap(({ versions }) => versions.at(-1)?.definition ?? [])
