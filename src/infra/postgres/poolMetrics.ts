import { Effect, Metric, type Scope } from "effect"
import type pg from "pg"

const connections = (pool: string, state: string) =>
  Metric.gauge("tidemark_postgres_connections", {
    description: "Connections to PostgreSQL by what they do: lent to work, or idle.",
    attributes: { pool, state },
  })

const waiting = (pool: string) =>
  Metric.gauge("tidemark_postgres_waiting", {
    description: "Calls that wait for a connection to become free.",
    attributes: { pool },
  })

/** Shows how a pool is used for as long as the scope is open. */
export const showPool = (name: string, pool: pg.Pool): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context()
    const show = (metric: Metric.Gauge<number>, read: () => number) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          Metric.registerUnsafe(metric, context, {
            get: () => ({ value: read() }),
            update: () => undefined,
            modify: () => undefined,
          }),
        ),
        (registration) => Effect.sync(() => registration.remove()),
      )
    yield* show(connections(name, "lent"), () => pool.totalCount - pool.idleCount)
    yield* show(connections(name, "idle"), () => pool.idleCount)
    yield* show(waiting(name), () => pool.waitingCount)
  })
