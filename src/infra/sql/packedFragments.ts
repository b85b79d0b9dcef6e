import { Effect } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "./factFragment.ts"

/** Blocks that one statement asks for: 8,000 identities. */
export const BLOCKS_AT_ONCE = 250

/** No block is before this one. */
const FIRST_BLOCK = -(2 ** 31)

/**
 * Bytes of fragments that one statement gives, but for those of one block, which come together. A statement's answer is one
 * text, and V8 makes none longer than 512 Mi.
 */
const BYTES_AT_ONCE = 8_000_000

/**
 * For a SELECT: all fragments it finds as one value, in base64. Drivers spend more on a row than on its bytes.
 * {@link unpackAll} reads it.
 */
export const PACKED_FRAGMENTS = `encode(string_agg(int4send(measure) || int4send(block) || int4send(held)
  || int4send(octet_length(fragment)) || fragment, ''), 'base64')`

/** Calls back with every fragment of what {@link PACKED_FRAGMENTS} gave, and its measure. */
export const unpackAll = (packed: string | null, take: (fragment: Fragment, measure: number) => void): void => {
  if (packed === null) return
  const bytes = Buffer.from(packed, "base64")
  for (let at = 0; at < bytes.length;) {
    const from = at + 16
    const to = from + bytes.readInt32BE(at + 12)
    const block = bytes.readInt32BE(at + 4)
    const held = bytes.readInt32BE(at + 8)
    take({ block, held, bytes: bytes.subarray(from, to) }, bytes.readInt32BE(at))
    at = to
  }
}

/** The fragments that a query finds, block by block, as many as fit into an answer, and the first block that did not. */
const readFitting = (sql: SqlClient.SqlClient, found: Statement.Fragment) =>
  Effect.map(
    sql<{ readonly packed: string | null; readonly next: number | null }>`
      WITH sized AS MATERIALIZED (
        SELECT *, block = min(block) OVER () OR sum(octet_length(fragment)) OVER (ORDER BY block) <= ${BYTES_AT_ONCE} AS fits
        FROM (${found}) AS found)
      SELECT (SELECT ${sql.literal(PACKED_FRAGMENTS)} FROM sized WHERE fits) AS packed,
        (SELECT min(block) FROM sized WHERE NOT fits) AS next`,
    ([row]) => row!,
  )

/**
 * Calls back with all fragments that a query finds for some slices of blocks, from a block on, slice by slice. While what came is
 * unpacked, the server reads what is next, and `last` when that was all; gives what this finds.
 */
export const readSlices = Effect.fnUntraced(function* <A, L, E>(
  sql: SqlClient.SqlClient,
  slices: ReadonlyArray<A>,
  found: (slice: A, from: number) => Statement.Fragment,
  take: (fragment: Fragment, measure: number) => void,
  last: Effect.Effect<L, E>,
) {
  type Answer = { readonly n: number; readonly packed: string | null; readonly next: number | null }
  const read = (n: number, from: number): Effect.Effect<Answer | { readonly last: L }, E | SqlError> =>
    n === slices.length
      ? Effect.map(last, (value) => ({ last: value }))
      : Effect.map(readFitting(sql, found(slices[n]!, from)), (answer) => ({ n, ...answer }))
  let answer = yield* read(0, FIRST_BLOCK)
  while ("packed" in answer) {
    const { n, packed, next } = answer
    const following = next === null ? read(n + 1, FIRST_BLOCK) : read(n, next)
    const unpacking = Effect.sync(() => unpackAll(packed, take))
    ;[answer] = yield* Effect.all([following, unpacking], { concurrency: "unbounded" })
  }
  return answer.last
})
