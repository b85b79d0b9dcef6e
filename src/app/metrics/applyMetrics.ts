import { Effect } from "effect"
import { planChanges } from "../../domain/metric/planChanges.ts"
import { readControl, recordDefinitions } from "../control.ts"
import { BadDefinition } from "./BadDefinition.ts"
import { checkFiles } from "./checkFiles.ts"

export interface Applied {
  readonly name: string
  readonly version: number
  /** Whether the log has it since this call, or had exactly this before. */
  readonly outcome: "applied" | "unchanged"
}

/**
 * Records the definitions of a file, of several, or of those in a directory, in the log. A definition that is there already
 * is left alone; one that differs needs a greater version, since the numbers of a version never change their meaning. All
 * of them or nothing.
 */
export const applyMetrics = Effect.fn("applyMetrics")(function* (files: string | ReadonlyArray<string>) {
  const paths = typeof files === "string" ? [files] : files
  const control = yield* readControl
  const { found, problems } = yield* checkFiles(paths, control)
  if (problems.length > 0) return yield* new BadDefinition({ files: paths, problems })
  const definitions = found.map(({ definition }) => definition)
  const there = new Set(planChanges(control, definitions).unaffected.map(({ name }) => name))
  const news = definitions.filter(({ name }) => !there.has(name))
  if (news.length > 0) yield* recordDefinitions(news)
  return definitions.map(({ name, version }): Applied => ({
    name,
    version,
    outcome: there.has(name) ? "unchanged" : "applied",
  }))
})
