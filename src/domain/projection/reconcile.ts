import { BUILTIN_METRICS } from "../metric/builtin.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import type { MetricHistories } from "../metric/lifecycle.ts"
import type { MeasureVersion } from "./ReadModel.ts"

/** What is to be done so that the read model holds the metrics that the control facts ask for. */
export interface Reconciliation {
  readonly register: ReadonlyArray<MetricDefinition>
  /** Ids of builds, as in `drop`. */
  readonly makeLive: ReadonlyArray<number>
  readonly drop: ReadonlyArray<number>
}

/**
 * Compares the metrics that the log asks for with those of the read model. A version answers queries only once it is built,
 * and until then the one before it does. Pure, and over when it finds nothing to do.
 */
export const reconcile = (histories: MetricHistories, held: ReadonlyArray<MeasureVersion>): Reconciliation => {
  const wanted = new Map<string, { readonly definitions: ReadonlyArray<MetricDefinition>; readonly live: number }>()
  for (const definition of Object.values<MetricDefinition>(BUILTIN_METRICS)) {
    wanted.set(definition.name, { definitions: [definition], live: definition.version })
  }
  for (const { name, versions, live } of histories.values()) {
    if (live === null || wanted.has(name)) continue
    wanted.set(name, { definitions: versions.filter(({ kept }) => kept).map(({ definition }) => definition), live })
  }
  const buildsOf = (name: string, version: number) =>
    held.filter(({ definition }) => definition.name === name && definition.version === version)

  const register = Array.from(wanted.values()).flatMap(({ definitions }) =>
    definitions.filter(({ name, version }) => buildsOf(name, version).length === 0),
  )
  const makeLive = Array.from(wanted).flatMap(([name, { live }]) => {
    const builds = buildsOf(name, live)
    if (builds.some(({ state }) => state === "live")) return []
    const built = builds.findLast(({ state }) => state !== "building")
    return built === undefined ? [] : [built.id]
  })
  const drop = held.flatMap(({ id, definition: { name, version }, state }) => {
    const asked = wanted.get(name)
    // What is live and superseded answers until its successor is.
    if (asked !== undefined && (state === "live" || asked.definitions.some((it) => it.version === version))) return []
    return [id]
  })
  return { register, makeLive, drop }
}
