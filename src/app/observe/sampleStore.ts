import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { Quarantine } from "../../domain/log/Quarantine.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { Operations } from "../../domain/projection/Operations.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { groupStatus } from "../status/groups.ts"
import type { WorkerSnapshot } from "../worker/WorkerState.ts"
import { STORE } from "./families.ts"
import type { Sample } from "./SampledSeries.ts"

/** What one look at the log and the read model found. */
export interface StoreSample {
  readonly samples: ReadonlyArray<Sample>
  /** Age of the oldest event of the worker's live partitions that is not in the numbers. */
  readonly lagSeconds: number
}

/**
 * Looks at the log and the read model, for the partitions that the worker owns: each is shown by its owner, so that sums
 * over all workers are right. What is the project's and no partition's, all workers show alike.
 */
export const sampleStore = Effect.fn("sampleStore")(function* ({ partitions: owned }: WorkerSnapshot) {
  const held = yield* EventLog.use(({ status }) => status)
  const measures = yield* ReadModel.use((readModel) => readModel.measures)
  const outlook = yield* Operations.use(({ look }) => look)
  const groups = yield* groupStatus(held, measures, outlook, (group, partition) =>
    owned.some((it) => it.group === group && it.partition === partition),
  )
  const lines = yield* Quarantine.use(({ counts }) => counts)
  const failures = yield* ReadModelQueries.use(({ failures }) => failures)
  const samples: Array<Sample> = [
    { family: STORE.unfolded, value: failures.length },
    ...Array.from(lines, ([reason, value]) => ({ family: STORE.quarantine, labels: { reason }, value })),
  ]
  for (const { group, partitions } of groups) {
    for (const { partition, lag, counts, quarantined } of partitions) {
      const labels = { group, partition: String(partition) }
      samples.push(
        { family: STORE.lagEvents, labels, value: lag.events },
        { family: STORE.lagExact, labels, value: lag.exact ? 1 : 0 },
        { family: STORE.lagSeconds, labels, value: lag.seconds },
      )
      if (group !== LIVE_GROUP) continue
      const { projected, duplicates, conflicts } = counts
      const accepted = projected + duplicates + quarantined + lag.events
      for (const [term, value] of Object.entries({ accepted, projected, duplicates, quarantined, lag: lag.events })) {
        samples.push({ family: STORE.balance, labels: { ...labels, term }, value })
      }
      samples.push({ family: STORE.conflicts, labels, value: conflicts })
    }
  }
  const lagSeconds = groups.find(({ group }) => group === LIVE_GROUP)?.lag.seconds ?? 0
  return { samples, lagSeconds } satisfies StoreSample
})
