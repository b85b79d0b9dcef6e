import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { rebuild } from "../../src/app/change/rebuild.ts"
import { seconds } from "../servers/timing.ts"

/** A metric that the log is older than. */
const NEW_METRIC = fileURLToPath(new URL("buyers.yaml", import.meta.url))

/** Rebuilds all metrics beside what answers, and lets what was built take over. */
export const rebuildAll = Effect.gen(function* () {
  const began = performance.now()
  const { comparisons } = yield* rebuild()
  return {
    took: (performance.now() - began) / 1000,
    metrics: comparisons.length,
    cells: comparisons.reduce((sum, { cells, differing }) => sum + cells.equal + differing, 0),
    differingCells: comparisons.reduce((sum, { differing }) => sum + differing, 0),
  }
})

/** From the moment that a new metric is applied until it answers over all of history. */
export const applyNewMetric = seconds(applyMetrics(NEW_METRIC))
