import { Result, Schema } from "effect"
import { MetricDefinition } from "../../domain/metric/definition.ts"
import { describeIssue, type ValueProblem } from "./describeIssue.ts"

const decode = Schema.decodeUnknownResult(MetricDefinition, { errors: "all", onExcessProperty: "error" })

/** A value as a definition, as the log will have it, or everything that keeps it from being one. */
export const decodeDefinition = (value: unknown): Result.Result<MetricDefinition, ReadonlyArray<ValueProblem>> => {
  try {
    return Result.mapBoth(decode(value), {
      onSuccess: asLogged,
      onFailure: ({ issue }) => describeIssue(issue, value),
    })
  } catch (cause) {
    // What a program gives may run code of its own when it is looked at.
    const problem = `it can't be read (${cause instanceof Error ? cause.message : String(cause)})`
    return Result.fail([{ path: [], problem }])
  }
}

/** JSON knows no negative zero. */
const asLogged = (definition: MetricDefinition): MetricDefinition =>
  JSON.parse(JSON.stringify(definition)) as MetricDefinition
