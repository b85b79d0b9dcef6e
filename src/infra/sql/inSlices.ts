import { Effect } from "effect"

/** Rows in one statement: bounds the memory of a parameter list; more would not be faster. */
const ROWS_MAX = 20_000

/** Runs a statement for slices of rows, each column one array parameter. */
export const inSlices = <A, E>(
  rows: ReadonlyArray<A>,
  statement: (slice: ReadonlyArray<A>) => Effect.Effect<unknown, E>,
): Effect.Effect<void, E> =>
  Effect.gen(function* () {
    for (let from = 0; from < rows.length; from += ROWS_MAX) {
      yield* statement(rows.length <= ROWS_MAX ? rows : rows.slice(from, from + ROWS_MAX))
    }
  })
