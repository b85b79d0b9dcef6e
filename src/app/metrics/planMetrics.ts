import { Effect } from "effect"
import { type MetricsPlan, planChanges } from "../../domain/metric/planChanges.ts"
import { readControl } from "../control.ts"
import { BadDefinition, type DefinitionProblem } from "./BadDefinition.ts"
import { type BuildCost, priceBuilds } from "./buildCost.ts"
import { checkFiles } from "./checkFiles.ts"
import { warnOfUnseen } from "./warnOfUnseen.ts"

export interface PricedPlan extends MetricsPlan {
  /** `null` when nothing is to be built. */
  readonly cost: BuildCost | null
  readonly warnings: ReadonlyArray<DefinitionProblem>
}

/** What applying definition files would change, and cost. With `strict`, warnings are problems. */
export const planMetrics = Effect.fn("planMetrics")(function* (
  files: ReadonlyArray<string>,
  { strict = false }: { readonly strict?: boolean } = {},
) {
  const control = yield* readControl
  const { found, problems } = yield* checkFiles(files, control)
  const warnings = yield* warnOfUnseen(found)
  const wrong = strict ? [...problems, ...warnings] : problems
  if (wrong.length > 0) return yield* new BadDefinition({ files, problems: wrong })
  const plan = planChanges(
    control,
    found.map(({ definition }) => definition),
  )
  const cost = plan.builds.length === 0 ? null : yield* priceBuilds(plan.builds.map(({ name }) => name))
  return { ...plan, cost, warnings } satisfies PricedPlan
})
