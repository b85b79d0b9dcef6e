import type { ControlFact } from "../control/ControlFact.ts"
import type { MetricDefinition } from "./definition.ts"

/**
 * What the control facts of a log say of metrics: which versions there are, which of them answers queries, and which are
 * kept. All of it follows from the facts in their order, so a read model that is made anew from the log comes to the same.
 */

/** A version of a metric as it was applied. */
export interface AppliedVersion {
  readonly definition: MetricDefinition
  /** Who applied it, why (`null` where nobody said), and when (ms). */
  readonly by: string | null
  readonly why: string | null
  readonly at: number
  /** Whether it ever was the one to answer queries. */
  readonly wasLive: boolean
  /** Whether its numbers are kept: it was not given up. */
  readonly kept: boolean
}

/** The history of one metric. */
export interface MetricHistory {
  readonly name: string
  /** Ascending; of several applied under one number the first. */
  readonly versions: ReadonlyArray<AppliedVersion>
  /** The version that answers queries as soon as it is built; `null` when the metric is retired. */
  readonly live: number | null
}

/** All metrics of a log by name. */
export type MetricHistories = ReadonlyMap<string, MetricHistory>

/**
 * The histories after one more fact, recorded `at` (ms). What a fact says that can't be, such as a version before the last
 * one, it does not say: two may decide at once.
 */
export const afterFact = (histories: MetricHistories, fact: ControlFact, at: number): MetricHistories => {
  const change = (name: string, step: (history: MetricHistory) => MetricHistory): MetricHistories =>
    new Map(histories).set(name, step(histories.get(name) ?? { name, versions: [], live: null }))
  switch (fact.name) {
    case "metric_applied":
      return change(fact.body.definition.name, (history) => applied(history, fact.body, at))
    case "metric_promoted":
    case "metric_rolled_back":
      return change(fact.body.metric, (history) => promoted(history, fact.body.version))
    case "metric_dropped":
      return fact.body.build === null
        ? change(fact.body.metric, (history) => dropped(history, fact.body.version))
        : histories
    case "metric_retired":
      return change(fact.body.metric, retired)
    case "settings_changed":
    case "rebuild_requested":
      return histories
  }
}

type Applied = Extract<ControlFact, { readonly name: "metric_applied" }>["body"]

const applied = (history: MetricHistory, { definition, promote, by, why }: Applied, at: number): MetricHistory => {
  const { versions, live } = history
  // Two that are applied at once may get the same version: it means what it meant first, in every replay.
  if (definition.version <= (versions.at(-1)?.definition.version ?? 0)) return history
  const atOnce = live === null || promote === "when-built"
  // What was never asked, and what gives its place up for good, is not kept.
  const before = versions.map((it) => ({ ...it, kept: it.kept && it.wasLive && !atOnce }))
  const version = { definition, by, why, at, wasLive: atOnce, kept: true }
  return { ...history, versions: [...before, version], live: atOnce ? definition.version : live }
}

const promoted = (history: MetricHistory, version: number): MetricHistory => {
  const isKept = history.versions.some((it) => it.kept && it.definition.version === version)
  if (history.live === null || !isKept) return history
  return { ...history, live: version, versions: changed(history.versions, version, { wasLive: true }) }
}

const dropped = (history: MetricHistory, version: number): MetricHistory =>
  version === history.live ? history : { ...history, versions: changed(history.versions, version, { kept: false }) }

const retired = (history: MetricHistory): MetricHistory => ({
  ...history,
  live: null,
  versions: history.versions.map((it) => ({ ...it, kept: false })),
})

const changed = (
  versions: ReadonlyArray<AppliedVersion>,
  version: number,
  change: Partial<AppliedVersion>,
): ReadonlyArray<AppliedVersion> =>
  versions.map((it) => (it.definition.version === version ? { ...it, ...change } : it))
