import { Result } from "effect"
import { type AppliedMetrics, BUILTIN_NAMES, currentMetrics, isRetired, latestOf } from "./applied.ts"
import { isFormulaMetric, type MetricDefinition } from "./definition.ts"
import { differencesOf, saysTheSame } from "./differences.ts"
import { resolveFormula } from "./formula.ts"
import { treeProblemOf } from "./tree.ts"

/** Why a definition can't be applied. */
export interface MetricProblem {
  readonly metric: string
  /** Where in the definition, such as `formula.of[0]`; `""` for all of it. */
  readonly path: string
  readonly problem: string
}

/**
 * Everything that keeps definitions of different names, each fine by itself, from being applied together to what the log has: versions that
 * don't go forward, formulas and parents that lead nowhere or in a circle. Formulas of other metrics are checked too, since
 * what they are made of may change.
 */
export const checkDefinitions = (
  applied: AppliedMetrics,
  definitions: ReadonlyArray<MetricDefinition>,
): ReadonlyArray<MetricProblem> => {
  const problems: Array<MetricProblem> = []
  const metrics = new Map(currentMetrics(applied))
  const here = new Map<string, MetricDefinition>()
  for (const definition of definitions) {
    const { name } = definition
    const say = (path: string, problem: string) => problems.push({ metric: name, path, problem })
    if (BUILTIN_NAMES.has(name)) {
      say("name", `${name} is the name of a built-in metric; choose another.`)
      continue
    }
    const problem = versionProblemOf(applied, definition)
    if (problem !== null) say("version", problem)
    here.set(name, definition)
    metrics.set(name, definition)
  }
  for (const [name, definition] of metrics) {
    const isHere = here.has(name)
    if (isFormulaMetric(definition)) {
      const resolved = resolveFormula(definition, metrics)
      if (Result.isFailure(resolved)) problems.push({ metric: name, ...resolved.failure })
    }
    // What an older log has without parents stays as it is; but the tree that is there must not come apart.
    const misplaced = treeProblemOf(definition, metrics)
    if (misplaced !== null && (isHere || treeProblemOf(definition, currentMetrics(applied)) === null)) {
      problems.push({ metric: name, path: definition.parent === undefined ? "tier" : "parent", problem: misplaced })
    }
  }
  return problems
}

const versionProblemOf = (applied: AppliedMetrics, definition: MetricDefinition): string | null => {
  const latest = latestOf(applied, definition.name)
  if (latest === undefined) return null
  const next = `give it version ${latest.version + 1}`
  if (definition.version < latest.version) {
    return `version ${definition.version} goes back, since the log has version ${latest.version}; ${next}, or take the definition that was applied last.`
  }
  if (definition.version > latest.version) return null
  if (!saysTheSame(latest, definition)) {
    const fields = differencesOf(latest, definition).map(({ path }) => path)
    const found = fields.length === 0 ? "expect" : fields.join(", ")
    return `version ${latest.version} is in the log and reads otherwise there (${found}); ${next}.`
  }
  return isRetired(applied, latest)
    ? `version ${latest.version} was retired; ${next} to bring the metric back, or take it out of the file.`
    : null
}
