import { BUILTIN_METRICS } from "../metric/builtin.ts"
import { buildsMeasure, type MetricDefinition } from "../metric/definition.ts"
import { countsTheSame } from "../metric/differences.ts"
import type { MetricHistories } from "../metric/lifecycle.ts"
import type { Build } from "./ReadModel.ts"

/** What is to be done so that the read model holds the metrics that the control facts ask for. Ids are those of builds. */
export interface Reconciliation {
  readonly register: ReadonlyArray<MetricDefinition>
  /** Builds that are another version's from now on, which counts the same. */
  readonly relabel: ReadonlyArray<{ readonly id: number; readonly definition: MetricDefinition }>
  readonly makeLive: ReadonlyArray<number>
  readonly drop: ReadonlyArray<Build>
}

/**
 * Compares the metrics that the log asks for with those of the read model. A version answers queries only once it is built,
 * and until then the one before it does. Versions that differ in what no number follows from share one build, which goes by
 * the version that answers, or else by the latest. Pure, and over when it finds nothing to do.
 */
export const reconcile = (histories: MetricHistories, held: ReadonlyArray<Build>): Reconciliation => {
  const wanted = wantedOf(histories)
  const found = { register: [], relabel: [], makeLive: [], drop: [] } as {
    -readonly [Key in keyof Reconciliation]: Array<Reconciliation[Key][number]>
  }
  const asked = new Set<number>()
  for (const [name, { definitions, live }] of wanted) {
    const ofMetric = held.filter(({ definition }) => definition.name === name)
    for (const definition of definitions) {
      const builds = ofMetric.filter((build) => countsTheSame(build.definition, definition))
      if (builds.length === 0) found.register.push(definition)
      for (const build of builds) {
        asked.add(build.id)
        if (build.definition.version !== definition.version) found.relabel.push({ id: build.id, definition })
      }
      if (definition.version !== live || builds.some(({ state }) => state === "live")) continue
      const built = builds.findLast(({ state }) => state !== "building")
      if (built !== undefined) found.makeLive.push(built.id)
    }
    // What is live and superseded answers until its successor does.
    for (const { id, state } of ofMetric) if (state === "live") asked.add(id)
  }
  for (const build of held) if (!asked.has(build.id)) found.drop.push(build)
  return found
}

/** By name: the definitions to be built, one of those that count the same, and the version that answers. */
const wantedOf = (histories: MetricHistories) => {
  const wanted = new Map<string, { readonly definitions: ReadonlyArray<MetricDefinition>; readonly live: number }>()
  for (const definition of Object.values<MetricDefinition>(BUILTIN_METRICS)) {
    wanted.set(definition.name, { definitions: [definition], live: definition.version })
  }
  for (const { name, versions, live } of histories.values()) {
    const kept = versions.flatMap(({ definition, kept }) => (kept && buildsMeasure(definition) ? [definition] : []))
    const answering = kept.find(({ version }) => version === live)
    // What is a formula of other metrics now has no cells of its own.
    if (answering === undefined || wanted.has(name)) continue
    const definitions = [answering]
    for (const definition of kept.toReversed()) {
      if (!definitions.some((other) => countsTheSame(other, definition))) definitions.push(definition)
    }
    wanted.set(name, { definitions, live: answering.version })
  }
  return wanted
}
