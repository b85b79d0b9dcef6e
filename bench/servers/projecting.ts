import { Effect, Stream } from "effect"
import { dedupeBatch, makeBatchReader } from "../../src/app/dedupeBatch.ts"
import { countAllPersons } from "../../src/app/projection/countPersons.ts"
import { claimPartition } from "../../src/app/projection/PartitionProjection.ts"
import { liveGroup } from "../../src/app/projection/groups.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { compileMeasure } from "../../src/domain/measure/compile.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { DedupeIndex } from "../../src/domain/projection/DedupeIndex.ts"
import { Fold } from "../../src/domain/projection/Fold.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { FUNNEL_STEPS } from "./data.ts"
import { seconds } from "./timing.ts"

/** Partitions that are read or projected at once: while the database works for one, the others are folded. */
const PARTITIONS_AT_ONCE = 4

const STEP_EVENTS = 100_000

export const FUNNEL: MetricDefinition = {
  name: "bench_funnel",
  version: 1,
  formula: { kind: "funnel", steps: FUNNEL_STEPS.map((event) => ({ event })) },
}

/** What the budget of a replay is about: active users, adoption of 20 features and a funnel of four steps. */
export const BUDGET_METRICS: ReadonlyArray<MetricDefinition> = [
  BUILTIN_METRICS.activeUsers,
  BUILTIN_METRICS.featureAdoption,
  FUNNEL,
]

/** Everything that every project has, and the funnel. */
export const ALL_METRICS: ReadonlyArray<MetricDefinition> = [...Object.values(BUILTIN_METRICS), FUNNEL]

const allPartitions = Effect.map(EventLog, ({ partitions }) => Array.from({ length: partitions }, (_, n) => n))

/** Reads all records, and does nothing with them. */
export const drain = Effect.gen(function* () {
  const log = yield* EventLog
  return yield* seconds(
    Effect.forEach(yield* allPartitions, (partition) => Stream.runDrain(log.read(partition, 0)), {
      concurrency: PARTITIONS_AT_ONCE,
      discard: true,
    }),
  )
})

/** Reads, proves and decodes all records, and does nothing with them: the part of a replay before its measures. */
export const decode = Effect.gen(function* () {
  return yield* seconds(
    Effect.forEach(yield* allPartitions, (partition) => Stream.runDrain(readBatches(partition)), {
      concurrency: PARTITIONS_AT_ONCE,
      discard: true,
    }),
  )
})

/** The same, and finds repeats and folds: all of a replay that knows no database, a step's worth at a time. */
export const fold = Effect.fnUntraced(function* (metrics: ReadonlyArray<MetricDefinition>) {
  const log = yield* EventLog
  const measures = metrics.map((metric) => compileMeasure(metric, TimeZone.utc))
  const foldPartition = Effect.fnUntraced(function* (partition: number) {
    const dedupe = new DedupeIndex(DEFAULT_SETTINGS.dedupeHorizonMillis)
    const readBatch = makeBatchReader(log, partition)
    let step = new Fold(measures, TimeZone.utc)
    yield* readBatches(partition).pipe(
      Stream.runForEach(({ position: { sequence }, batch }) =>
        Effect.gen(function* () {
          const { places } = yield* dedupeBatch(dedupe, readBatch, sequence, batch, batch.origin.loggedAt)
          step.add(partition, sequence, batch, places)
          if (step.counts.projected >= STEP_EVENTS) step = new Fold(measures, TimeZone.utc)
        }),
      ),
    )
  })
  return yield* seconds(
    Effect.forEach(yield* allPartitions, foldPartition, { concurrency: PARTITIONS_AT_ONCE, discard: true }),
  )
})

/** Empties the read model and registers metrics, so that the next projection makes all of them. */
export const empty = Effect.fnUntraced(function* (metrics: ReadonlyArray<MetricDefinition>) {
  const readModel = yield* ReadModel
  yield* readModel.wipe(DEFAULT_SETTINGS, yield* readModel.made)
  return yield* readModel.register(metrics)
})

/** Projects the whole log into an empty read model. */
export const replay = Effect.fnUntraced(function* (metrics: ReadonlyArray<MetricDefinition>) {
  const readModel = yield* ReadModel
  const group = liveGroup(yield* empty(metrics), TimeZone.utc)
  const projectPartition = Effect.fnUntraced(function* (partition: number) {
    const projection = yield* claimPartition(group, partition, DEFAULT_SETTINGS, "bench")
    yield* readBatches(partition, { chain: projection.chain }).pipe(
      Stream.runForEach((opened) =>
        Effect.gen(function* () {
          yield* projection.take(opened)
          if (projection.pending() >= STEP_EVENTS) yield* projection.commit()
        }),
      ),
    )
    yield* projection.commit()
  })
  const took = yield* seconds(
    Effect.andThen(
      Effect.forEach(yield* allPartitions, projectPartition, { concurrency: PARTITIONS_AT_ONCE, discard: true }),
      countAllPersons(LIVE_GROUP),
    ),
  )
  yield* readModel.markWhole((yield* readModel.made)!)
  return took
})
