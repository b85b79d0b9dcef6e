import { Context, Effect, Layer, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { monotonicMillis } from "../../infra/monotonicMillis.ts"
import { startLogMetrics } from "../../infra/nats/logMetrics.ts"
import type { Store } from "../store.ts"
import { type WorkerSnapshot, WorkerState } from "../worker/WorkerState.ts"
import { STORE } from "./families.ts"
import { type Health, livenessOf, readinessOf } from "./health.ts"
import { type Sample, SampledSeries } from "./SampledSeries.ts"
import { sampleProcess, sampleWorker } from "./sampleWorker.ts"
import { sampleStore } from "./sampleStore.ts"

/** From one look at the log and the read model to the next. */
const STORE_INTERVAL = "10 seconds"

/** What the worker itself knows is looked at so often for those who push metrics; scrapes look by themselves. */
const WORKER_INTERVAL = "5 seconds"

/** What a worker tells those who watch it. */
export class Observation extends Context.Service<
  Observation,
  {
    readonly liveness: Effect.Effect<Health>
    readonly readiness: Effect.Effect<Health>
    /** All metrics in Prometheus' text format. */
    readonly metrics: Effect.Effect<string>
  }
>()("tidemark/app/observe/Observation") {
  static readonly layer = (readyLagSeconds: number): Layer.Layer<Observation, never, WorkerState | Store> =>
    Layer.effect(
      Observation,
      Effect.gen(function* () {
        const state = yield* WorkerState
        const context = yield* Effect.context()
        const ofWorker = new SampledSeries(context)
        const ofStore = new SampledSeries(context)
        yield* startLogMetrics
        let storeLooked = yield* monotonicMillis
        let lagSeconds = 0
        let storeSamples: ReadonlyArray<Sample> = []

        const lookAtWorker = Effect.gen(function* () {
          const snapshot = yield* state.snapshot
          const age = { family: STORE.age, value: ((yield* monotonicMillis) - storeLooked) / 1000 }
          ofWorker.replace([...sampleWorker(snapshot), ...sampleProcess(), age])
          ofStore.replace(
            storeSamples.filter(({ labels }) => labels?.["group"] === undefined || isOwned(snapshot, labels)),
          )
          return snapshot
        })
        const lookAtStore = Effect.gen(function* () {
          const found = yield* sampleStore(yield* state.snapshot)
          storeSamples = found.samples
          lagSeconds = found.lagSeconds
          storeLooked = yield* monotonicMillis
        }).pipe(
          // The loops say what is away; what was found stays, and its age grows.
          Effect.catch(({ message }) => Effect.logDebug(`The log and the read model were not looked at: ${message}`)),
        )
        yield* lookAtWorker.pipe(Effect.repeat(Schedule.spaced(WORKER_INTERVAL)), Effect.forkScoped)
        yield* lookAtStore.pipe(Effect.repeat(Schedule.spaced(STORE_INTERVAL)), Effect.forkScoped)

        return Observation.of({
          liveness: Effect.map(state.snapshot, (snapshot) => livenessOf(snapshot, lagSeconds)),
          readiness: Effect.map(state.snapshot, (snapshot) => readinessOf(snapshot, lagSeconds, readyLagSeconds)),
          metrics: Effect.andThen(lookAtWorker, PrometheusMetrics.format()),
        })
      }),
    )
}

/** Whether the partition of a series is the worker's still: who owns it now shows it. */
const isOwned = ({ partitions }: WorkerSnapshot, labels: Readonly<Record<string, string>>): boolean =>
  partitions.some(({ group, partition }) => group === labels["group"] && String(partition) === labels["partition"])
