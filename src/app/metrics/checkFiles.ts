import { Effect } from "effect"
import type { AppliedMetrics } from "../../domain/metric/applied.ts"
import { checkDefinitions } from "../../domain/metric/checkDefinitions.ts"
import type { DefinitionProblem } from "./BadDefinition.ts"
import { type FoundDefinition, type FoundDefinitions, readDefinitions } from "./readDefinitions.ts"

/** What there is to check against where there is no store. */
export const NOTHING_APPLIED: AppliedMetrics = { metrics: new Map() }

/** Reads the definitions of files and checks them together, as they would stand beside what was applied. */
export const checkFiles = Effect.fnUntraced(function* (paths: ReadonlyArray<string>, applied: AppliedMetrics) {
  const { found, problems } = yield* readDefinitions(paths)
  const first = new Map<string, FoundDefinition>()
  const twice: Array<DefinitionProblem> = []
  for (const one of found) {
    const { name } = one.definition
    const other = first.get(name)
    if (other === undefined) first.set(name, one)
    else twice.push(problemIn(one, ["name"], `it is defined more than once, ${placeOf(other)} too.`))
  }
  const unique = [...first.values()]
  const together = checkDefinitions(
    applied,
    unique.map(({ definition }) => definition),
  )
    // What refers to a definition that could not be read would be said to lead nowhere, and doesn't.
    .filter(({ path }) => problems.length === 0 || path === "name" || path === "version")
    .map(({ metric, path, problem }): DefinitionProblem => {
      const one = first.get(metric)
      const said = path.startsWith("formula") ? `${path}: ${problem}` : problem
      return one === undefined ? { file: null, line: null, metric, problem: said } : problemIn(one, pathOf(path), said)
    })
  return { found: unique, problems: [...problems, ...twice, ...together] } satisfies FoundDefinitions
})

/** A problem with a definition, at a place in it. */
export const problemIn = (
  { definition, file, lineOf }: FoundDefinition,
  path: ReadonlyArray<string>,
  problem: string,
): DefinitionProblem => ({ file, line: lineOf(path), metric: definition.name, problem })

/** `formula.of[0]` as the steps that lead there. */
export const pathOf = (text: string): ReadonlyArray<string> => text.split(/[.[\]]+/).filter((part) => part !== "")

const placeOf = ({ file, lineOf }: FoundDefinition): string => {
  const line = lineOf(["name"])
  return line === null ? `in ${file}` : `in ${file}:${line}`
}
