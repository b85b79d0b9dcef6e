import { Effect, Layer, Schedule } from "effect"
import { WorkerReports } from "../../domain/projection/WorkerReports.ts"
import { WorkerState } from "../worker/WorkerState.ts"

/** From one report to the next; `status` takes a worker for gone that has not reported for several of them. */
const INTERVAL = "3 seconds"

/** Says what this worker does, for `status` on any machine, until the layer is closed; then it says no more. */
export const layerReports: Layer.Layer<never, never, WorkerState | WorkerReports> = Layer.effectDiscard(
  Effect.gen(function* () {
    const state = yield* WorkerState
    const reports = yield* WorkerReports
    // While PostgreSQL is away nobody can read a report either; the worker's own loops tell of it.
    const publish = Effect.flatMap(state.snapshot, ({ owner, partitions }) => reports.publish(owner, partitions)).pipe(
      Effect.ignore,
    )
    yield* Effect.addFinalizer(() => Effect.ignore(reports.publish(state.owner, [])))
    yield* publish.pipe(Effect.repeat(Schedule.spaced(INTERVAL)), Effect.forkScoped)
  }),
)
