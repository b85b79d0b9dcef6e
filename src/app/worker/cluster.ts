import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { Cause, Duration, Effect, Layer, Logger, Option, References } from "effect"
import {
  EntityId,
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  Sharding,
  ShardingConfig,
} from "effect/cluster"
import type { SqlClient } from "effect/sql"
import { EventLog } from "../../domain/log/EventLog.ts"
import { layerRunnerStorage } from "../../infra/sql/runnerStorage.ts"
import { WORKER_LIFE_SECONDS } from "../../infra/sql/SqlOperations.ts"
import { COORDINATOR, coordinator } from "./coordinator.ts"
import { partitionActor } from "./partitionActor.ts"

const GROUP = "default"

/**
 * How soon another worker takes over. After a kill: the last sign of life is up to 3 s old (a third of the life of a
 * lease, which is how often it is renewed) and counts for 9 s; the others look every 0.5 s; a lease that is not free yet
 * is tried again after 1 s: at most 9 + 0.5 + 1, and the first claim, so about 11 s. After SIGTERM the worker takes itself
 * off the list and gives its leases back, so only the looking is left: at most 0.5 + 1 s. A worker that is frozen loses its
 * leases like one that is dead.
 */
const TIMING = {
  shardLockExpiration: Duration.seconds(WORKER_LIFE_SECONDS),
  shardLockRefreshInterval: Duration.seconds(WORKER_LIFE_SECONDS / 3),
  refreshAssignmentsInterval: Duration.millis(500),
  entityMessagePollInterval: Duration.seconds(1),
}

/** The name of a worker: of its machine and process, and never given twice. */
export const newWorkerName = (): string => `${hostname()}-${randomBytes(3).toString("hex")}:${process.pid}`

/** A name whose shard is the one wanted: singletons are placed by their names. */
export const nameOnShard = (name: string, shard: number, shardOf: (name: string) => number): string => {
  for (let n = 0; ; n++) {
    const candidate = `${name}#${n}`
    if (shardOf(candidate) === shard) return candidate
  }
}

/**
 * Shares the partitions out among all workers of the project: every partition is a singleton of effect/cluster, on a shard
 * of its own, so that each worker gets its share at least (rounded down), and one that joins or leaves moves little more
 * than it must. Nobody sends messages, so workers need no ports and don't know each other.
 *
 * `leases`: connections for the signs of life alone, so that these don't wait behind long steps.
 *
 * Only speed depends on it. Exact numbers depend on epochs: see `ReadModel.claim`.
 */
export const layerCluster = <E>(worker: string, leases: Layer.Layer<SqlClient.SqlClient, E>) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { partitions } = yield* EventLog
      const sharding = yield* Sharding.Sharding
      const level = yield* References.MinimumLogLevel
      const loggers = yield* Logger.CurrentLoggers
      const register = <E, R>(name: string, run: Effect.Effect<void, E, R>) => {
        const speaking = run.pipe(
          Effect.provideService(References.MinimumLogLevel, level),
          Effect.provideService(Logger.CurrentLoggers, loggers),
        )
        return sharding.registerSingleton(name, speaking, { shardGroup: GROUP })
      }
      const shardOf = (name: string) => sharding.getShardId(EntityId.make(name), GROUP).id
      for (let partition = 0; partition < partitions; partition++) {
        const name = nameOnShard(`partition-${partition}`, partition + 1, shardOf)
        yield* register(name, partitionActor(partition))
      }
      yield* register(COORDINATOR, coordinator())
    }),
  ).pipe(
    Layer.provide(Sharding.layer.pipe(Layer.provide(layerFewWords))),
    Layer.provide(Runners.layerNoop),
    Layer.provide([MessageStorage.layerNoop, RunnerHealth.layerNoop]),
    Layer.provide(layerRunnerStorage),
    Layer.provide(leases),
    Layer.provide(
      Layer.unwrap(
        Effect.map(EventLog, ({ partitions }) =>
          ShardingConfig.layer({
            ...TIMING,
            runnerAddress: Option.some(addressOf(worker)),
            availableShardGroups: [GROUP],
            assignedShardGroups: [GROUP],
            shardsPerGroup: partitions,
          }),
        ),
      ),
    ),
  )

/**
 * That leases can't be renewed the cluster says once, in a line, and not with a stack every few seconds: `Watch` says when the
 * database is away and when it is back.
 */
const layerFewWords = Layer.merge(
  Layer.succeed(References.MinimumLogLevel, "Error"),
  Layer.effect(
    Logger.CurrentLoggers,
    Effect.map(
      Logger.CurrentLoggers,
      (loggers) =>
        new Set(
          Array.from(loggers, (logger) => Logger.make((options) => logger.log({ ...options, cause: Cause.empty }))),
        ),
    ),
  ),
)

/** Nobody connects to it: the address is the worker's name, in the form that the cluster has for names. */
const addressOf = (worker: string): RunnerAddress.RunnerAddress => {
  const at = worker.lastIndexOf(":")
  return RunnerAddress.make(worker.slice(0, at), Number(worker.slice(at + 1)))
}
