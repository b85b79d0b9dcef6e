import { Data, Effect } from "effect"
import { BUILTIN_NAMES, currentMetrics, isRetired, latestOf } from "../../domain/metric/applied.ts"
import { metricsUsed } from "../../domain/metric/formula.ts"
import { decision, readControl, record } from "../control.ts"
import { Overtaken } from "./Overtaken.ts"
import { noSuchMetric } from "./noSuchMetric.ts"

/** A metric that can't be retired. */
export class NotRetired extends Data.TaggedError("NotRetired")<{ readonly metric: string; readonly problem: string }> {
  override get message(): string {
    return `${this.metric} can't be retired: ${this.problem}`
  }
}

/**
 * Records that a metric ends: it is projected and answered no more, and its versions stay in the history. Gives the version
 * it ends with; once more changes nothing. Refused while other metrics stand on it.
 */
export const retireMetric = Effect.fn("retireMetric")(function* (name: string, why?: string) {
  const control = yield* readControl
  const fail = (problem: string) => new NotRetired({ metric: name, problem })
  if (BUILTIN_NAMES.has(name)) return yield* fail("it is built in, and every project has it.")
  const latest = latestOf(control, name)
  if (latest === undefined) return yield* noSuchMetric(name, control)
  const { version } = latest
  if (isRetired(control, latest)) return { name, version, outcome: "unchanged" as const }
  const others = [...currentMetrics(control).values()].filter((other) => other.name !== name)
  const using = others.filter((other) => metricsUsed(other).includes(name)).map((other) => other.name)
  if (using.length > 0) return yield* fail(`formulas use it: ${using.join(", ")}. Change or retire them first.`)
  const children = others.filter(({ parent }) => parent === name).map((other) => other.name)
  if (children.length > 0) {
    return yield* fail(`it is the parent of ${children.join(", ")}. Give them another parent or retire them first.`)
  }
  yield* record([{ name: "metric_retired", body: { metric: name, version, ...decision(why ?? null) } }])
  // Somebody may have applied a greater version in between, which the retirement does not mean.
  if (!isRetired(yield* readControl, latest)) {
    return yield* new Overtaken({ what: `${name} has a version after ${version}, and goes on` })
  }
  return { name, version, outcome: "retired" as const }
})
