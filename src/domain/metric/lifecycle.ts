import type { ControlFact } from "../control/ControlFact.ts"
import type { MetricDefinition } from "./definition.ts"
import { countsTheSame } from "./differences.ts"

/**
 * What the control facts of a log say of metrics: which versions there are, which of them answers queries, and which are
 * kept. All of it follows from the facts in their order, so a read model that is made anew from the log comes to the same.
 */

/** A version of a metric as it was applied. */
export interface AppliedVersion {
  readonly definition: MetricDefinition
  /** When it last became the one to answer queries, ms; `null` if it never was. */
  readonly liveSince: number | null
  /** Whether its numbers are kept: it was not given up. */
  readonly kept: boolean
}

/** A fact about a metric that took effect: which, about which version and build of it, who decided it when (ms), and why. */
export interface MetricDecision {
  readonly what: Exclude<ControlFact["name"], "settings_changed" | "rebuild_requested">
  readonly version: number
  /** Where it was about one of several builds of a version. */
  readonly build: number | null
  readonly at: number
  readonly by: string | null
  readonly why: string | null
}

/** The history of one metric. */
export interface MetricHistory {
  readonly name: string
  /** Ascending; of several applied under one number the first. */
  readonly versions: ReadonlyArray<AppliedVersion>
  /** The version that answers queries as soon as it is built; `null` when the metric is retired. */
  readonly live: number | null
  /** In the order of the log. */
  readonly decisions: ReadonlyArray<MetricDecision>
}

/** All metrics of a log by name. */
export type MetricHistories = ReadonlyMap<string, MetricHistory>

/**
 * The histories after one more fact, recorded `at` (ms). What a fact says that can't be, such as a version before the last
 * one, it does not say: two may decide at once.
 */
export const afterFact = (histories: MetricHistories, fact: ControlFact, at: number): MetricHistories => {
  if (fact.name === "settings_changed" || fact.name === "rebuild_requested") return histories
  const name = fact.name === "metric_applied" ? fact.body.definition.name : fact.body.metric
  const before = histories.get(name) ?? { name, versions: [], live: null, decisions: [] }
  // In the order of the log, also where clocks went back.
  const latest = before.versions.map(({ liveSince }) => (liveSince ?? Number.NEGATIVE_INFINITY) + 1)
  const after = step(before, fact, Math.max(at, ...latest))
  if (after === null) return histories
  const { by, why } = fact.body
  const version = fact.name === "metric_applied" ? fact.body.definition.version : fact.body.version
  const build = "build" in fact.body ? fact.body.build : null
  const decisions = [...before.decisions, { what: fact.name, version, build, at, by, why }]
  return new Map(histories).set(name, { ...before, ...after, decisions })
}

/** When a version, or one that is kept and counts the same, last became the one to answer queries, ms; `null` if never. */
export const liveSinceOf = (histories: MetricHistories, definition: MetricDefinition): number | null => {
  const versions = histories.get(definition.name)?.versions ?? []
  const instants = versions.flatMap((it) =>
    it.kept && it.liveSince !== null && countsTheSame(it.definition, definition) ? [it.liveSince] : [],
  )
  return instants.length === 0 ? null : Math.max(...instants)
}

type MetricFact = Exclude<ControlFact, { readonly name: "settings_changed" | "rebuild_requested" }>

/** What becomes of a metric; `null` when the fact says nothing. */
const step = (
  history: MetricHistory,
  fact: MetricFact,
  at: number,
): Pick<MetricHistory, "versions" | "live"> | null => {
  const { versions, live } = history
  switch (fact.name) {
    case "metric_applied":
      return applied(history, fact.body, at)
    case "metric_promoted":
    case "metric_rolled_back": {
      const { version } = fact.body
      const isKept = versions.some((it) => it.kept && it.definition.version === version)
      if (live === null || !isKept) return null
      return { live: version, versions: changed(versions, version, { liveSince: at }) }
    }
    case "metric_dropped": {
      const { version, build } = fact.body
      const isKnown = versions.some(({ definition }) => definition.version === version)
      if (!isKnown || (version === live && build === null)) return null
      // Where a version has several builds one of them went, not the version.
      return { live, versions: build === null ? changed(versions, version, { kept: false }) : versions }
    }
    case "metric_retired":
      // A version that was applied meanwhile is not meant.
      if (live === null || fact.body.version < versions.at(-1)!.definition.version) return null
      return { live: null, versions: versions.map((it) => ({ ...it, kept: false })) }
  }
}

type Applied = Extract<ControlFact, { readonly name: "metric_applied" }>["body"]

const applied = ({ versions, live }: MetricHistory, { definition, promote }: Applied, at: number) => {
  // Two that are applied at once may get the same version: it means what it meant first, in every replay.
  if (definition.version <= (versions.at(-1)?.definition.version ?? 0)) return null
  const atOnce = live === null || promote === "when-built"
  // What was never asked, and what gives its place up for good, is not kept.
  const before = versions.map((it) => ({ ...it, kept: it.kept && it.liveSince !== null && !atOnce }))
  return {
    versions: [...before, { definition, liveSince: atOnce ? at : null, kept: true }],
    live: atOnce ? definition.version : live,
  }
}

const changed = (
  versions: ReadonlyArray<AppliedVersion>,
  version: number,
  change: Partial<AppliedVersion>,
): ReadonlyArray<AppliedVersion> =>
  versions.map((it) => (it.definition.version === version ? { ...it, ...change } : it))
