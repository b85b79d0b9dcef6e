import { Effect } from "effect"
import { latestOf, liveMetrics } from "../../domain/metric/applied.ts"
import { buildsMeasure, isFormulaMetric, type MetricDefinition } from "../../domain/metric/definition.ts"
import { saysTheSame } from "../../domain/metric/differences.ts"
import { planChanges } from "../../domain/metric/planChanges.ts"
import type { ControlFact } from "../../domain/control/ControlFact.ts"
import { decision, readControl, record } from "../control.ts"
import { BadDefinition } from "./BadDefinition.ts"
import { checkFiles } from "./checkFiles.ts"
import { Overtaken } from "./Overtaken.ts"

export interface Applied {
  readonly name: string
  readonly version: number
  /**
   * Whether the log has it since this call, had exactly this before, or had it and somebody has gone back from it or given it
   * up: that stays so.
   */
  readonly outcome: "applied" | "unchanged" | "passed-over"
}

/**
 * Records the definitions of a file, of several, or of those in a directory, in the log. A definition that is there already
 * is left alone; one that differs needs a greater version, since the numbers of a version never change their meaning. All
 * of them or nothing. A new metric answers as soon as it is built, a version of one that answers when it is promoted.
 */
export const recordMetrics = Effect.fn("recordMetrics")(function* (paths: ReadonlyArray<string>, why?: string) {
  const control = yield* readControl
  const { found, problems } = yield* checkFiles(paths, control)
  if (problems.length > 0) return yield* new BadDefinition({ files: paths, problems })
  const definitions = found.map(({ definition }) => definition)
  const { unaffected, waiting, passedOver } = planChanges(control, definitions)
  const there = new Set([...unaffected, ...waiting, ...passedOver].map(({ name }) => name))
  const news = definitions.filter(({ name }) => !there.has(name))
  if (news.length > 0) {
    const live = liveMetrics(control)
    yield* record(
      news.map((definition): ControlFact => ({
        name: "metric_applied",
        body: { definition, promote: promotionOf(definition, live), ...decision(why ?? null) },
      })),
    )
    // Somebody may have applied another definition under the same number in between: the first one counts.
    const after = yield* readControl
    for (const definition of news) {
      const latest = latestOf(after, definition.name)
      if (latest !== undefined && latest.version === definition.version && saysTheSame(latest, definition)) continue
      const { name, version } = definition
      return yield* new Overtaken({ what: `${name} has another version ${latest?.version ?? version} now` })
    }
  }
  const isPassedOver = new Set(passedOver.map(({ name }) => name))
  return definitions.map(({ name, version }): Applied => ({
    name,
    version,
    outcome: isPassedOver.has(name) ? "passed-over" : there.has(name) ? "unchanged" : "applied",
  }))
})

/** Where numbers of other metrics made the answer, there are no cells to compare with. */
const promotionOf = (definition: MetricDefinition, live: ReadonlyMap<string, MetricDefinition>) => {
  const answering = live.get(definition.name)
  return answering !== undefined && isFormulaMetric(answering) && buildsMeasure(definition)
    ? "when-built"
    : "when-asked"
}
