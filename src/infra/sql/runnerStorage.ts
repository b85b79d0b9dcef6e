import { hostname } from "node:os"
import { Cause, Effect, Layer } from "effect"
import { type RunnerAddress, RunnerStorage, SqlRunnerStorage } from "effect/cluster"
import { SqlClient } from "effect/sql"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { CLUSTER_PREFIX } from "./SqlOperations.ts"

/** Whether a worker ran on this machine and is no more: its process is gone, or this one has its number now. */
const isDeadNeighbour = ({ host, port: pid }: RunnerAddress.RunnerAddress): boolean => {
  if (host.replace(/-[0-9a-f]{6}$/, "") !== hostname()) return false
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH"
  }
}

/** Takes the leases of dead neighbours off the list: a worker that is started anew after a crash goes on at once. */
const withoutDeadNeighbours = Effect.gen(function* () {
  const storage = yield* RunnerStorage.RunnerStorage
  for (const [{ address }] of yield* storage.getRunners) {
    if (!isDeadNeighbour(address)) continue
    yield* storage.releaseAll(address)
    yield* storage.unregister(address)
  }
  return storage
})

/** `sql` as the storage of leases is to see it: see `layerRunnerStorage`. */
const sharingConnections = (sql: SqlClient.SqlClient): SqlClient.SqlClient =>
  new Proxy(sql, {
    get: (client, name, self) => (name === "driver" ? "pglite" : (Reflect.get(client, name, self) as unknown)),
  })

const notOpened = (cause: Cause.Cause<{ readonly message: string }>): ReadModelUnavailable => {
  const error = Cause.squash(cause)
  const reason = error instanceof Error ? error.message : String(error)
  return new ReadModelUnavailable({ attempted: "open the tables of the workers", reason, retryable: true })
}

/**
 * Leases and signs of life, in tables of the read model's schema. effect/cluster would hold one connection and its
 * session's advisory locks for good, which a pooler can't lend, and which a frozen worker keeps before PostgreSQL 14;
 * leases in a table it uses where every statement may go over another connection, as with PGlite.
 */
export const layerRunnerStorage = Layer.effect(RunnerStorage.RunnerStorage, withoutDeadNeighbours).pipe(
  Layer.provide(SqlRunnerStorage.layerWith({ prefix: CLUSTER_PREFIX })),
  Layer.provide(Layer.effect(SqlClient.SqlClient, Effect.map(SqlClient.SqlClient, sharingConnections))),
  // A connection that breaks while effect/cluster makes its tables is a defect there.
  Layer.catchCause((cause) =>
    Layer.effect(
      RunnerStorage.RunnerStorage,
      Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.fail(notOpened(cause)),
    ),
  ),
)
