import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { CellDelta } from "../../domain/projection/CellSums.ts"
import { compareIds } from "../../domain/identity/distinctId.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { inSlices } from "./inSlices.ts"
import { toStorable } from "./storableText.ts"

const byKey = (a: CellDelta, b: CellDelta): number =>
  compareIds(a.stat, b.stat) || a.day - b.day || compareIds(a.item, b.item)

/** Writes cells, for one step in one transaction. */
export const makeCellTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  /**
   * Adds to cells, in the order of the table's key, which all steps keep to, so that none waits for one that waits for it. A
   * cell that was published before and changes now is revised. A cell of zero is no row.
   */
  const write = Effect.fnUntraced(function* (
    measure: number,
    deltas: ReadonlyArray<CellDelta>,
    revisedAt: number | null,
  ) {
    const keys = (slice: ReadonlyArray<CellDelta>) => sql`
      ${slice.map(({ day }) => formatDay(day))}::date[], ${slice.map(({ stat }) => toStorable(stat))}::text[],
      ${slice.map(({ item }) => toStorable(item))}::text[]`
    const revised = revisedAt === null ? sql`` : sql`, revised_at = to_timestamp(${revisedAt / 1000}::float8)`
    yield* inSlices(deltas.toSorted(byKey), (slice) =>
      Effect.gen(function* () {
        const [row] = yield* sql<{ readonly zeros: number }>`
          WITH written AS (
            INSERT INTO cells (measure, day, stat, item, amount, last_cause)
            SELECT ${measure}::int, day, stat, item, amount, cause FROM unnest(
              ${keys(slice)}, ${slice.map(({ amount }) => amount)}::numeric[], ${slice.map(({ cause }) => cause)}::text[])
              AS row(day, stat, item, amount, cause)
            ON CONFLICT (measure, stat, day, item) DO UPDATE SET amount = trim_scale(cells.amount + excluded.amount),
              last_cause = excluded.last_cause ${revised}
            RETURNING amount)
          SELECT count(*)::int AS zeros FROM written WHERE amount = 0`
        if (row!.zeros > 0) {
          yield* sql`DELETE FROM cells c USING unnest(${keys(slice)}) AS row(day, stat, item)
            WHERE c.measure = ${measure} AND c.day = row.day AND c.stat = row.stat AND c.item = row.item AND c.amount = 0`
        }
      }),
    )
  })

  return { write }
})
