import { type AppliedMetrics, BUILTIN_NAMES } from "../../domain/metric/applied.ts"
import { nearest } from "../../domain/nearest.ts"
import { BadQuery } from "../query/errors.ts"

/** A name that no metric was ever applied under. */
export const noSuchMetric = (name: string, { metrics }: AppliedMetrics): BadQuery => {
  const names = [...BUILTIN_NAMES, ...metrics.keys()]
  const like = nearest(name, names)
  return new BadQuery({
    problem: `There is no metric "${name}".`,
    remedy: like === null ? `There are: ${names.join(", ")}.` : `Did you mean "${like}"?`,
  })
}
