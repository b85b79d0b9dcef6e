import { Effect } from "effect"
import { liveMetrics } from "../../domain/metric/applied.ts"
import { buildsMeasure, type MetricDefinition } from "../../domain/metric/definition.ts"
import { countsTheSame } from "../../domain/metric/differences.ts"
import { versionName } from "../../domain/projection/buildName.ts"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { readControl } from "../control.ts"
import { type Applied, recordMetrics } from "../metrics/recordMetrics.ts"
import { Projector, type ProjectOptions } from "../projection/Projector.ts"
import { compare, type Comparison } from "./compare.ts"
import { checkExpectation } from "./promote.ts"
import { switchTo } from "./switchTo.ts"

export interface ApplyOptions extends ProjectOptions {
  /** Promotes what differs although it was expected to be the same. */
  readonly accept?: boolean
  /** Whether new versions of metrics that answer take their place; default `true`. */
  readonly promote?: boolean
  readonly why?: string | undefined
}

/** What became of definitions that were applied. */
export interface AppliedMetrics {
  readonly applied: ReadonlyArray<Applied>
  /** New versions beside what they are to replace. */
  readonly comparisons: ReadonlyArray<Comparison>
  /** Names of versions that answer from now on. */
  readonly promoted: ReadonlyArray<string>
  /** Names of versions that wait to be promoted. */
  readonly waiting: ReadonlyArray<string>
  /** Why nothing is built yet, where workers stand still; what was recorded stays, and is built when they go on. */
  readonly standstill: string | null
}

/**
 * Records the definitions of files, builds what is new over all of history beside what answers, compares the two at one place
 * in the log, and lets the new versions take over, all in one moment. Safe to repeat: it goes on where it was cut off. A
 * version that was gone back from is not promoted again.
 */
export const applyMetrics = Effect.fn("applyMetrics")(function* (
  files: string | ReadonlyArray<string>,
  { accept = false, promote = true, why, ...projecting }: ApplyOptions = {},
) {
  const readModel = yield* ReadModel
  const applied = yield* recordMetrics(typeof files === "string" ? [files] : files, why)
  const standstill = yield* Projector.use((projector) => projector.project(projecting)).pipe(
    Effect.as(null),
    Effect.catchTag("WorkersStandStill", ({ message }) => Effect.succeed(message)),
  )
  const due = yield* newVersions(applied)
  const names = due.map(({ definition }) => versionName(definition))
  if (standstill !== null) {
    return { applied, comparisons: [], promoted: [], waiting: names, standstill } satisfies AppliedMetrics
  }
  const built = new Set(
    (yield* readModel.measures)
      .filter(({ state }) => state !== "building")
      .map(({ definition }) => versionName(definition)),
  )
  // What counts the same has no build of its own, and formulas of other metrics have none at all.
  const hasBuild = ({ definition, live }: NewVersion) => buildsMeasure(definition) && !countsTheSame(definition, live)
  const ready = due.filter((it) => !hasBuild(it) || built.has(versionName(it.definition)))
  const comparisons = yield* Effect.forEach(ready.filter(hasBuild), ({ definition }) =>
    compare(versionName(definition)),
  )
  if (!promote) {
    return { applied, comparisons, promoted: [], waiting: names, standstill } satisfies AppliedMetrics
  }
  for (const comparison of comparisons) yield* checkExpectation(comparison, accept)
  yield* switchTo(
    "metric_promoted",
    ready.map(({ definition: { name, version } }) => ({ metric: name, version, build: null })),
    why,
  )
  const promoted = ready.map(({ definition }) => versionName(definition))
  const waiting = names.filter((name) => !promoted.includes(name))
  return { applied, comparisons, promoted, waiting, standstill } satisfies AppliedMetrics
})

/** A version that never answered, beside the one that does. */
interface NewVersion {
  readonly definition: MetricDefinition
  readonly live: MetricDefinition
}

/** Of what was applied, the versions that wait. */
const newVersions = Effect.fnUntraced(function* (applied: ReadonlyArray<Applied>) {
  const control = yield* readControl
  const live = liveMetrics(control)
  return applied.flatMap(({ name, version }) => {
    const found = control.metrics.get(name)?.versions.find(({ definition }) => definition.version === version)
    const answering = live.get(name)
    if (found === undefined || found.liveSince !== null || !found.kept || answering === undefined) return []
    return [{ definition: found.definition, live: answering } satisfies NewVersion]
  })
})
