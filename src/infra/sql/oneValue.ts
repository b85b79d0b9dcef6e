import { Context, Effect, Exit, Fiber, Option, Request, RequestResolver } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"

/** A query that gives one value. */
interface OneValue extends Request.Request<unknown, SqlError> {
  readonly _tag: "OneValue"
  readonly query: Fragment
  /** The statement that it went into, once it has. */
  readonly within: { statement: Statement | null }
}

/** A statement under way for several queries. */
interface Statement {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** How many still want its answer. */
  wanted: number
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

  // It runs with the context of the first of them, hence in their transaction.
  const resolver = RequestResolver.makeGrouped({
    // Outside a transaction each is asked by itself: no two entries are equal.
    key: (entry: Request.Entry<OneValue>): unknown =>
      Option.getOrElse(
        Context.getOption(entry.context as Context.Context<unknown>, sql.transactionService),
        () => entry,
      ),
    resolver: (entries) =>
      Effect.withFiber((fiber) => {
        const statement = { fiber, wanted: entries.length }
        for (const { request } of entries) request.within.statement = statement
        return Effect.map(askTogether(entries.map(({ request }) => request.query)), (values) =>
          entries.forEach((entry, n) => entry.completeUnsafe(Exit.succeed(values[n]))),
        )
      }),
  })

  /** The resolver's fiber is nobody's child, so a statement that nobody waits for any more is ended here. */
  const giveUp = ({ within: { statement } }: OneValue) =>
    Effect.suspend(() => {
      if (statement === null || --statement.wanted > 0) return Effect.void
      return Fiber.interrupt(statement.fiber)
    })

  /** `A` is what the query's JSON holds. */
  return <A>(query: Fragment) =>
    Effect.suspend(() => {
      const request = OneValue({ query, within: { statement: null } })
      return Effect.onInterrupt(Effect.request(request, resolver), () => giveUp(request))
    }) as Effect.Effect<A | null, SqlError>
})
