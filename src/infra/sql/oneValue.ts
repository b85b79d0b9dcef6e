import { Deferred, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"

/** Queries that go into one statement. */
interface Batch {
  readonly queries: Array<Fragment>
  /** A value for each. */
  readonly answer: Deferred.Deferred<ReadonlyArray<unknown>, SqlError>
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

  /** The first of a batch runs it, once all that are asked at once have come; they share what becomes of it. */
  const lead = (transaction: object, query: Fragment) => {
    const batch: Batch = { queries: [query], answer: Deferred.makeUnsafe() }
    const closed = Effect.sync(() => {
      if (open.get(transaction) === batch) open.delete(transaction)
    })
    return Effect.sync(() => open.set(transaction, batch)).pipe(
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(closed),
      Effect.andThen(Effect.suspend(() => askTogether(batch.queries))),
      Effect.onExit((exit) => Effect.andThen(closed, Deferred.done(batch.answer, exit))),
    )
  }

  const follow = ({ queries, answer }: Batch, query: Fragment) => {
    const place = queries.push(query) - 1
    return Effect.map(Deferred.await(answer), (values) => values[place])
  }

  const ask = (query: Fragment) =>
    Effect.flatMap(Effect.serviceOption(sql.transactionService), (service) => {
      const transaction = Option.getOrNull(service)
      if (transaction === null) return Effect.map(askTogether([query]), ([value]) => value)
      const batch = open.get(transaction)
      return batch === undefined ? Effect.map(lead(transaction, query), ([value]) => value) : follow(batch, query)
    })

  /** `A` is what the query's JSON holds. */
  return <A>(query: Fragment) => ask(query) as Effect.Effect<A | null, SqlError>
})
