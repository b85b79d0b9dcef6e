import { Effect } from "effect"

/** Rows in one statement: bounds the memory of a parameter list; more would not be faster. */
const ROWS_MAX = 20_000

/** Runs a statement for slices of rows, each column one array parameter; `most` rows in each. */
export const inSlices = <A, E>(
  rows: ReadonlyArray<A>,
  statement: (slice: ReadonlyArray<A>) => Effect.Effect<unknown, E>,
  most = ROWS_MAX,
): Effect.Effect<void, E> =>
  Effect.gen(function* () {
    for (let from = 0; from < rows.length; from += most) {
      yield* statement(rows.length <= most ? rows : rows.slice(from, from + most))
    }
  })
