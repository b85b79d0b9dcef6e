import { Deferred, Effect, Exit, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"

/** Queries that go into one statement. */
interface Batch {
  readonly queries: Array<Fragment>
  /** A value for each, or `null` when whoever was to run it gave up. */
  readonly answer: Deferred.Deferred<ReadonlyArray<unknown> | null, SqlError>
}

/**
 * Asks queries that give one row of one column, `null` where there is no row. Those that are asked at once inside one
 * transaction go to the database in one statement: what an answer from cells takes is mostly round trips.
 *
 * effect's `RequestResolver` would do the same; but it clears a `Set` for every statement, and what V8 leaves of a set that
 * was cleared refers to what it holds next, so that every answer outlived two collections and the next had to wait for them.
 */
export const makeOneValue = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  /** What still takes queries, by transaction. */
  const open = new WeakMap<object, Batch>()

  const askTogether = (queries: ReadonlyArray<Fragment>) =>
    Effect.map(
      sql<Record<string, unknown>>`
        SELECT ${sql.csv(queries.map((query, n) => sql`(${query}) AS ${sql(`value_${n}`)}`))}`,
      ([row]) => queries.map((_, n) => row![`value_${n}`]),
    )

  /** The first of a batch runs it, once all that are asked at once have come. */
  const run = (transaction: object, { queries, answer }: Batch) =>
    Effect.yieldNow.pipe(
      Effect.andThen(
        Effect.suspend(() => {
          open.delete(transaction)
          return askTogether(queries)
        }),
      ),
      Effect.onExit((exit) => {
        open.delete(transaction)
        return Deferred.done(answer, Exit.hasInterrupts(exit) ? Exit.succeed(null) : exit)
      }),
    )

  const ask = (query: Fragment): Effect.Effect<unknown, SqlError> =>
    Effect.flatMap(Effect.serviceOption(sql.transactionService), (service) => {
      if (Option.isNone(service)) return Effect.map(askTogether([query]), ([value]) => value)
      const transaction = service.value
      const found = open.get(transaction)
      if (found === undefined) {
        const batch: Batch = { queries: [query], answer: Deferred.makeUnsafe() }
        open.set(transaction, batch)
        return Effect.map(run(transaction, batch), ([value]) => value)
      }
      const place = found.queries.push(query) - 1
      return Effect.flatMap(Deferred.await(found.answer), (values) =>
        values === null ? ask(query) : Effect.succeed(values[place]),
      )
    })

  /** `A` is what the query's JSON holds. */
  return <A>(query: Fragment) => ask(query) as Effect.Effect<A | null, SqlError>
})
