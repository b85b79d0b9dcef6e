import { readFileSync } from "node:fs"
import { Data, Effect, Result, Schema } from "effect"
import { parseDocument } from "yaml"
import { BUILTIN_METRICS } from "../domain/metric/builtin.ts"
import { MetricDefinition } from "../domain/metric/definition.ts"
import { readControl, recordDefinitions } from "./control.ts"

/** A definition that can't be applied. */
export class BadDefinition extends Data.TaggedError("BadDefinition")<{
  readonly file: string
  readonly problem: string
}> {
  override get message(): string {
    return `Nothing of ${this.file} was applied: ${this.problem}`
  }
}

export interface Applied {
  readonly name: string
  readonly version: number
  /** Whether the log has it since this call, or had exactly this before. */
  readonly outcome: "applied" | "unchanged"
}

const decode = Schema.decodeUnknownResult(MetricDefinition, { errors: "all", onExcessProperty: "error" })

/** Reads a file with one definition, or a list of them below `metrics:`. */
const readDefinitions = (file: string): Effect.Effect<ReadonlyArray<MetricDefinition>, BadDefinition> =>
  Effect.gen(function* () {
    const fail = (problem: string) => new BadDefinition({ file, problem })
    const text = yield* Effect.try({
      try: () => readFileSync(file, "utf8"),
      catch: (cause) => fail(`it can't be read (${cause instanceof Error ? cause.message : String(cause)}).`),
    })
    const document = parseDocument(text, { prettyErrors: true })
    const [error] = document.errors
    if (error !== undefined) return yield* fail(`it is not YAML: ${error.message.split("\n")[0]}`)
    const value = yield* Effect.try({
      try: () => document.toJS({ maxAliasCount: 100 }) as unknown,
      catch: (cause) =>
        fail(`its aliases can't be followed (${cause instanceof Error ? cause.message : String(cause)}).`),
    })
    const listed = typeof value === "object" && value !== null && "metrics" in value ? value.metrics : [value]
    if (!Array.isArray(listed)) return yield* fail(`"metrics" is not a list of definitions.`)
    const definitions: Array<MetricDefinition> = []
    for (const [n, candidate] of listed.entries()) {
      const decoded = decode(candidate)
      if (Result.isFailure(decoded)) {
        const name = typeof candidate === "object" && candidate !== null && "name" in candidate ? candidate.name : n + 1
        return yield* fail(`metric ${String(name)}: ${decoded.failure.message}`)
      }
      definitions.push(decoded.success)
    }
    const names = definitions.map(({ name }) => name)
    const twice = names.find((name, n) => names.indexOf(name) !== n)
    if (twice !== undefined) return yield* fail(`it defines the metric ${twice} more than once.`)
    return definitions
  })

/**
 * Records the definitions of a file in the log. A definition that is there already is left alone; one that differs
 * needs a greater version, since the numbers of a version never change their meaning. All of the file or nothing.
 */
export const applyMetrics = Effect.fn("applyMetrics")(function* (file: string) {
  const definitions = yield* readDefinitions(file)
  const control = yield* readControl
  const builtin = new Set<string>(Object.values(BUILTIN_METRICS).map(({ name }) => name))
  const applied: Array<Applied> = []
  const news: Array<MetricDefinition> = []
  for (const definition of definitions) {
    const { name, version } = definition
    if (builtin.has(name)) {
      return yield* new BadDefinition({ file, problem: `${name} is the name of a built-in metric; choose another.` })
    }
    const latest = control.metrics.get(name)?.versions.at(-1)?.definition
    const same = latest?.version === version && canonical(latest) === canonical(definition)
    if (latest !== undefined && !same && version <= latest.version) {
      const problem = `${name} is in the log as version ${latest.version} and reads otherwise there; give the change version ${latest.version + 1}.`
      return yield* new BadDefinition({ file, problem })
    }
    if (!same) news.push(definition)
    applied.push({ name, version, outcome: same ? "unchanged" : "applied" })
  }
  if (news.length > 0) yield* recordDefinitions(news)
  return applied
})

/** JSON with keys in order, so that only meaning is compared. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
