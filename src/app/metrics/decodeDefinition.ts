import { Result, Schema } from "effect"
import { MetricDefinition } from "../../domain/metric/definition.ts"
import { describeIssue, type ValueProblem } from "./describeIssue.ts"

const decode = Schema.decodeUnknownResult(MetricDefinition, { errors: "all", onExcessProperty: "error" })

/** A value as a definition, or everything that keeps it from being one. */
export const decodeDefinition = (value: unknown): Result.Result<MetricDefinition, ReadonlyArray<ValueProblem>> =>
  Result.mapError(decode(value), ({ issue }) => describeIssue(issue, value))
