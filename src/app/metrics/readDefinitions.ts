import { Effect, Result } from "effect"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import type { DefinitionProblem } from "./BadDefinition.ts"
import { decodeDefinition } from "./decodeDefinition.ts"
import { definitionFiles, isModule } from "./definitionFiles.ts"
import type { ValuePath } from "./describeIssue.ts"
import { readModule } from "./readModule.ts"
import { readYaml } from "./readYaml.ts"

/** A definition where it stands. */
export interface FoundDefinition {
  readonly definition: MetricDefinition
  readonly file: string
  readonly lineOf: (path: ValuePath) => number | null
}

/** What files hold, and everything that is wrong with it. */
export interface FoundDefinitions {
  readonly found: ReadonlyArray<FoundDefinition>
  readonly problems: ReadonlyArray<DefinitionProblem>
}

/** Reads the definitions of files, or of the definition files in directories, each by itself. */
export const readDefinitions = Effect.fnUntraced(function* (paths: ReadonlyArray<string>) {
  const found: Array<FoundDefinition> = []
  const problems: Array<DefinitionProblem> = []
  for (const path of paths) {
    const files = definitionFiles(path)
    if (Result.isFailure(files)) {
      problems.push({ file: path, line: null, metric: null, problem: files.failure })
      continue
    }
    for (const file of files.success) {
      const read = yield* readFile(file)
      found.push(...read.found)
      problems.push(...read.problems)
    }
  }
  return { found, problems } satisfies FoundDefinitions
})

/** Reads a file with one definition, or a list of them: below `metrics:`, or as the default export of a program. */
const readFile = Effect.fnUntraced(function* (file: string): Effect.fn.Return<FoundDefinitions> {
  const read = yield* Effect.result(isModule(file) ? readModule(file) : Effect.fromResult(readYaml(file)))
  if (Result.isFailure(read)) return { found: [], problems: [{ file, metric: null, ...read.failure }] }
  const { value, lineOf } = read.success
  const listed = listOf(value)
  if (listed === null) {
    return {
      found: [],
      problems: [{ file, line: null, metric: null, problem: `"metrics" is not a list of definitions.` }],
    }
  }
  const found: Array<FoundDefinition> = []
  const problems: Array<DefinitionProblem> = []
  for (const { candidate, at } of listed) {
    const decoded = decodeDefinition(candidate)
    const lineIn = (path: ValuePath) => lineOf([...at, ...path])
    if (Result.isSuccess(decoded)) {
      found.push({ definition: decoded.success, file, lineOf: lineIn })
      continue
    }
    const metric = nameOf(candidate)
    for (const { path, problem } of decoded.failure) problems.push({ file, line: lineIn(path), metric, problem })
  }
  return { found, problems }
})

/** Each candidate and where it stands in the file; `null` when `metrics` is no list. */
const listOf = (value: unknown): ReadonlyArray<{ readonly candidate: unknown; readonly at: ValuePath }> | null => {
  if (Array.isArray(value)) return value.map((candidate: unknown, n) => ({ candidate, at: [n] }))
  if (typeof value !== "object" || value === null || !("metrics" in value)) return [{ candidate: value, at: [] }]
  return Array.isArray(value.metrics)
    ? value.metrics.map((candidate: unknown, n) => ({ candidate, at: ["metrics", n] }))
    : null
}

const nameOf = (candidate: unknown): string | null =>
  typeof candidate === "object" && candidate !== null && "name" in candidate && typeof candidate.name === "string"
    ? candidate.name
    : null
