import { Effect } from "effect"

/** Rows in one statement: bounds the memory of a parameter list; more would not be faster. */
const ROWS_MAX = 20_000

/** Rows in slices of `most`; without rows there is no slice. */
export const slicesOf = <A>(rows: ReadonlyArray<A>, most: number): ReadonlyArray<ReadonlyArray<A>> => {
  const slices: Array<ReadonlyArray<A>> = []
  for (let from = 0; from < rows.length; from += most) slices.push(rows.slice(from, from + most))
  return slices
}

/** Runs a statement for slices of rows, each column one array parameter; `most` rows in each. */
export const inSlices = <A, E>(
  rows: ReadonlyArray<A>,
  statement: (slice: ReadonlyArray<A>) => Effect.Effect<unknown, E>,
  most = ROWS_MAX,
): Effect.Effect<void, E> => Effect.forEach(slicesOf(rows, most), statement, { discard: true })
