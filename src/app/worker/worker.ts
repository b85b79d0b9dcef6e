import { Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { ReadModel } from "../../domain/projection/ReadModel.ts"
import type { Operations } from "../../domain/projection/Operations.ts"
import { Attempts } from "./Attempts.ts"
import { layerCluster, newWorkerName } from "./cluster.ts"
import { coordinator } from "./coordinator.ts"
import { partitionActor } from "./partitionActor.ts"
import { StepRoom } from "./StepRoom.ts"
import { Watch } from "./Watch.ts"
import { WorkerState } from "./WorkerState.ts"

/** What a worker works on. */
type Needs = EventLog | ReadModel | Operations

/** What a worker gives to those who report on it. */
export type Worker = WorkerState | Watch

/**
 * A worker of a project on servers, for as long as the layer is open: it takes its share of the partitions, and projects
 * them. `leases`: connections of their own for its signs of life, which must not wait behind long steps. `observed`: who reports
 * on it, from before its first step until after its last.
 */
export const layerWorker = <E, E2 = never, R = never>(
  leases: Layer.Layer<SqlClient.SqlClient, E>,
  observed: Layer.Layer<never, E2, R> = Layer.empty,
) =>
  Layer.suspend(() => {
    const name = newWorkerName()
    return layerCluster(name, leases).pipe(Layer.provideMerge(observed), Layer.provideMerge(layerShared(name)))
  })

/** The worker of a store that no other process can open: all partitions, in this process. */
export const layerWorkerAlone: Layer.Layer<Worker, never, Needs> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { partitions } = yield* EventLog
    for (let partition = 0; partition < partitions; partition++) {
      yield* partitionActor(partition).pipe(Effect.forkScoped)
    }
    yield* coordinator().pipe(Effect.forkScoped)
  }),
).pipe(Layer.provideMerge(layerShared(newWorkerName())))

function layerShared(name: string) {
  return Layer.mergeAll(Watch.layer, StepRoom.layer, Attempts.layer).pipe(Layer.provideMerge(WorkerState.layer(name)))
}
