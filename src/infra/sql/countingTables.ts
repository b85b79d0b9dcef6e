import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import { type CountedTo, EVERYBODY, NOBODY } from "../../domain/projection/counted.ts"

/** A measure that does not count everybody, and up to whom it counts. */
export interface UncountedMeasure {
  readonly id: number
  readonly definition: MetricDefinition
  readonly countedTo: CountedTo
}

/**
 * Up to whom measures count that don't count everybody. A count and the steps of such measures exclude each other by locks
 * on the whole table, since those are given in the order in which they are asked for.
 */
export const makeCountingTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  /** For a step: what it finds holds until its transaction ends. What counts everybody does so for good, and isn't locked. */
  const countedTo = Effect.fnUntraced(function* (measures: ReadonlyArray<number>) {
    const read = sql<{ readonly measure: number; readonly counted_to: number }>`
      SELECT measure, counted_to FROM counting WHERE measure = ANY(${measures}::int[])`
    const some = (yield* read).length > 0
    const rows = some ? yield* Effect.andThen(sql`LOCK TABLE counting IN ROW SHARE MODE`, read) : []
    const found = new Map(rows.map((row) => [row.measure, row.counted_to]))
    return measures.map((measure) => found.get(measure) ?? EVERYBODY)
  })

  /** Measures of a group that don't count everybody. */
  const uncounted = (group: string) => sql<UncountedMeasure>`
    SELECT m.id, m.definition, c.counted_to AS "countedTo" FROM counting c JOIN measures m ON m.id = c.measure
    WHERE m.projector_group = ${group} AND m.state <> 'dropped' ORDER BY m.id`

  /** The same for a count: no step of theirs is under way until its transaction ends. */
  const uncountedAlone = Effect.fnUntraced(function* (group: string) {
    if ((yield* uncounted(group)).length === 0) return []
    yield* sql`LOCK TABLE counting IN EXCLUSIVE MODE`
    return yield* uncounted(group)
  })

  const moveTo = (measures: ReadonlyArray<number>, last: CountedTo) => sql`
    UPDATE counting SET counted_to = ${last} WHERE measure = ANY(${measures}::int[])`

  /** From now on everybody is counted. */
  const end = (measures: ReadonlyArray<number>) => sql`DELETE FROM counting WHERE measure = ANY(${measures}::int[])`

  /** Waits for a count, and keeps none waiting for more than this transaction. */
  const lockForChange = sql`LOCK TABLE counting IN ROW EXCLUSIVE MODE`

  /** Nobody is counted yet by measures from this number on. */
  const begin = (first: number) => sql`INSERT INTO counting SELECT id, ${NOBODY} FROM measures WHERE id >= ${first}`

  /** Nobody counts for measures that are given up. */
  const forgetDropped = sql`
    DELETE FROM counting WHERE measure IN (SELECT id FROM measures WHERE state = 'dropped')`

  return { countedTo, uncounted, uncountedAlone, moveTo, end, lockForChange, begin, forgetDropped }
})
