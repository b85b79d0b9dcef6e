import { Context, Effect, Exit, Option, Request, RequestResolver } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"

/** A query that gives one value. */
interface OneValue extends Request.Request<unknown, SqlError> {
  readonly _tag: "OneValue"
  readonly query: Fragment
}

const OneValue = Request.tagged<OneValue>("OneValue")

/**
 * Asks queries that give one row of one column, `null` where there is no row. Those that are asked at once inside one
 * transaction go to the database in one statement: what an answer from cells takes is mostly round trips.
 */
export const makeOneValue = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const askTogether = (queries: ReadonlyArray<Fragment>) =>
    Effect.map(
      sql<Record<string, unknown>>`
        SELECT ${sql.csv(queries.map((query, n) => sql`(${query}) AS ${sql(`value_${n}`)}`))}`,
      ([row]) => queries.map((_, n) => row![`value_${n}`]),
    )

  const resolver = RequestResolver.makeGrouped({
    // Outside a transaction each is asked by itself.
    key: (entry: Request.Entry<OneValue>): unknown =>
      Option.getOrElse(
        Context.getOption(entry.context as Context.Context<unknown>, sql.transactionService),
        () => entry,
      ),
    resolver: (entries) =>
      askTogether(entries.map(({ request }) => request.query)).pipe(
        Effect.provideContext(entries[0].context),
        Effect.map((values) => entries.forEach((entry, n) => entry.completeUnsafe(Exit.succeed(values[n])))),
      ),
  })

  return <A>(query: Fragment) => Effect.request(OneValue({ query }), resolver) as Effect.Effect<A | null, SqlError>
})
