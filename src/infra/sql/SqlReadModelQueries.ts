import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { AGAIN_PATTERN, daysSinceBefore, NEW_USERS } from "../../domain/measure/activeUsers.ts"
import type { ReadModel } from "../../domain/projection/ReadModel.ts"
import {
  type Cell,
  type ClaimedPartition,
  type DayRange,
  INTAKE,
  ReadModelQueries,
  type Returned,
} from "../../domain/projection/ReadModelQueries.ts"
import { explained } from "./explained.ts"
import type { BulkCopy } from "./BulkCopy.ts"
import { joinFragments, type PackedFragment } from "./factRows.ts"
import { makeIdentityTables } from "./identityTables.ts"
import { type CheckpointRow, type IdentityRow, readCheckpoint, readIdentity, type SqlBigint } from "./rows.ts"
import { fromStorable, toStorable } from "./storableText.ts"

/** Asks the tables that {@link ReadModel}'s adapter writes. */
export const layerSqlReadModelQueries: Layer.Layer<
  ReadModelQueries,
  never,
  SqlClient.SqlClient | BulkCopy | ReadModel
> = Layer.effect(
  ReadModelQueries,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const identityTables = yield* makeIdentityTables

    /**
     * The lock makes an emptying wait, which nobody's snapshot hides: TRUNCATE takes the rows at once. It is taken before
     * the snapshot, and on the table that an emptying locks first, so that neither holds what the other waits for.
     */
    const inSnapshot = <A, E, R>(questions: Effect.Effect<A, E, R>) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`
          yield* sql`LOCK TABLE settings IN ACCESS SHARE MODE`
          return yield* questions
        }),
      )

    const snapshot = <A, E, R>(questions: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Effect.serviceOption(sql.transactionService), (open) =>
        Option.isSome(open) ? questions : inSnapshot(questions),
      )

    const within = ({ from, to }: DayRange) =>
      sql`day BETWEEN DATE '1970-01-01' + ${from}::int AND DATE '1970-01-01' + ${to}::int`

    const cells = Effect.fnUntraced(function* (
      measure: number,
      range: DayRange,
      filter: { readonly stats?: ReadonlyArray<string>; readonly item?: string } = {},
    ) {
      const stats = filter.stats === undefined ? sql`` : sql`AND stat = ANY(${filter.stats.map(toStorable)}::text[])`
      const item = filter.item === undefined ? sql`` : sql`AND item = ${toStorable(filter.item)}`
      const rows = yield* sql<{ readonly cells: ReadonlyArray<PackedCell> | null }>`
        SELECT json_agg(json_build_array(day - DATE '1970-01-01', item, stat, amount::text,
          extract(epoch FROM revised_at) * 1000, last_cause)) AS cells
        FROM (SELECT * FROM cells WHERE measure = ${measure}
          AND ${within(range)} ${stats} ${item}
          ORDER BY day, stat, item) AS c`
      return (rows[0]?.cells ?? []).map(([day, stored, stat, amount, revisedAt, lastCause]): Cell => ({
        day,
        item: fromStorable(stored),
        stat: fromStorable(stat),
        amount,
        revisedAt,
        revisionCause: revisedAt === null ? null : lastCause,
      }))
    })

    const storedRange = Effect.map(
      sql<{ readonly first: number | null; readonly last: number | null }>`
        SELECT min(day) - DATE '1970-01-01' AS first, max(day) - DATE '1970-01-01' AS last FROM cells
        WHERE measure = ${INTAKE} AND stat = 'activity'`,
      ([row]) => (row?.first == null || row.last === null ? null : { from: row.first, to: row.last }),
    )

    /** `CASE`, since the parts of an `AND` are evaluated in any order, and no other statistic ends in a number. */
    const uniquesByValue = (measure: number, range: DayRange) =>
      Effect.map(
        sql<{ readonly item: string; readonly users: SqlBigint }>`
          SELECT item, sum(amount) AS users FROM cells WHERE measure = ${measure} AND ${within(range)}
            AND CASE WHEN stat = ${NEW_USERS} THEN true WHEN stat LIKE ${AGAIN_PATTERN}
              THEN substr(stat, ${AGAIN_PATTERN.length}::int)::int > day - DATE '1970-01-01' - ${range.from}::int ELSE false END
          GROUP BY item`,
        (rows): ReadonlyMap<string, number> => new Map(rows.map((row) => [fromStorable(row.item), Number(row.users)])),
      )

    const returned = (measure: number, value: string, range: DayRange) =>
      Effect.map(
        sql<{ readonly rows: ReadonlyArray<readonly [day: number, stat: string, users: number]> | null }>`
          SELECT json_agg(json_build_array(day - DATE '1970-01-01', stat, amount)) AS rows
          FROM cells WHERE measure = ${measure} AND ${within(range)} AND item = ${toStorable(value)}
            AND (stat = ${NEW_USERS} OR stat LIKE ${AGAIN_PATTERN})`,
        ([row]) =>
          (row?.rows ?? []).map(([day, stat, users]): Returned => ({ day, since: daysSinceBefore(stat)!, users })),
      )

    const personFacts = (measure: number) =>
      Effect.map(
        sql<{ readonly person: number; readonly fragments: ReadonlyArray<PackedFragment> }>`
            SELECT d.person, json_agg(json_build_array(
              f.measure, f.key, f.month, f.mask, f.items, f.masks, encode(f.points, 'hex'))) AS fragments
            FROM facts f JOIN distinct_ids d ON d.key = f.key WHERE f.measure = ${measure} GROUP BY d.person`,
        (found) => new Map(found.map(({ person, fragments }) => [person, joinFragments(fragments)])),
      )

    return ReadModelQueries.of({
      snapshot: (questions) => snapshot(questions).pipe(explained("read the tables at one moment")),
      cells: (measure, range, filter) => cells(measure, range, filter).pipe(explained("read cells")),
      storedRange: storedRange.pipe(explained("read the stored range")),
      uniquesByValue: (measure, range) => uniquesByValue(measure, range).pipe(explained("count persons")),
      returned: (measure, value, range) => returned(measure, value, range).pipe(explained("count persons")),
      personFacts: (measure) => personFacts(measure).pipe(explained("read facts")),
      identities: (distinctIds) => identityTables.look(distinctIds).pipe(explained("read who is who")),
      personOf: (distinctId) =>
        Effect.map(
          sql<{ readonly rows: ReadonlyArray<IdentityRow> | null }>`
              SELECT json_agg(json_build_array(key, distinct_id, older, person, link_time, link_user) ORDER BY key) AS rows
              FROM distinct_ids WHERE person = (
                SELECT person FROM distinct_ids WHERE distinct_id = ${toStorable(distinctId)} AND NOT older)`,
          ([row]) => (row?.rows ?? []).map(readIdentity),
        ).pipe(explained("read who is who")),
      checkpoints: Effect.map(
        sql<CheckpointRow & { readonly projector_group: string }>`
          SELECT * FROM checkpoints ORDER BY projector_group, partition`,
        (rows) =>
          rows.flatMap((row) => {
            const checkpoint = readCheckpoint(row)
            return checkpoint === null ? [] : [{ ...checkpoint, group: row.projector_group }]
          }),
      ).pipe(explained("read the checkpoints")),
      claims: Effect.map(
        sql<CheckpointRow & ClaimRow>`
          SELECT *, extract(epoch FROM claimed_at) * 1000 AS claimed, extract(epoch FROM committed_at) * 1000 AS committed
          FROM checkpoints ORDER BY projector_group, partition`,
        (rows) =>
          rows.map((row): ClaimedPartition => ({
            group: row.projector_group,
            partition: row.partition,
            epoch: Number(row.epoch),
            owner: row.owner,
            claimedAt: Math.round(Number(row.claimed)),
            committedAt: row.committed === null ? null : Math.round(Number(row.committed)),
            checkpoint: readCheckpoint(row),
          })),
      ).pipe(explained("read the claims")),
      failures: Effect.map(
        sql<{ partition: number; sequence: SqlBigint; place: number; metric: string; cause: string }>`
          SELECT * FROM quarantine ORDER BY partition, sequence, place, metric`,
        (rows) => rows.map((row) => ({ ...row, sequence: Number(row.sequence), cause: fromStorable(row.cause) })),
      ).pipe(explained("read the quarantine")),
      sizesOf: (measure) =>
        Effect.map(
          sql<{ facts: SqlBigint; cells: SqlBigint }>`
            SELECT (SELECT count(*) FROM facts WHERE measure = ${measure}) AS facts,
              (SELECT count(*) FROM cells WHERE measure = ${measure}) AS cells`,
          ([row]) => ({ facts: Number(row!.facts), cells: Number(row!.cells) }),
        ).pipe(explained("count rows")),
      sizes: Effect.map(
        sql<{ distinct_ids: SqlBigint; persons: SqlBigint; facts: SqlBigint; cells: SqlBigint }>`
          SELECT (SELECT count(DISTINCT distinct_id) FROM distinct_ids) AS distinct_ids,
            (SELECT count(DISTINCT person) FROM distinct_ids) AS persons,
            (SELECT count(*) FROM facts) AS facts, (SELECT count(*) FROM cells) AS cells`,
        ([row]) => ({
          distinctIds: Number(row!.distinct_ids),
          persons: Number(row!.persons),
          facts: Number(row!.facts),
          cells: Number(row!.cells),
        }),
      ).pipe(explained("count rows")),
    })
  }),
)

/** Columns of `checkpoints` that say who claimed what, the instants as ms. */
interface ClaimRow {
  readonly projector_group: string
  readonly owner: string
  readonly claimed: SqlBigint
  readonly committed: SqlBigint | null
}

type PackedCell = readonly [
  day: number,
  item: string,
  stat: string,
  amount: string,
  revisedAt: number | null,
  lastCause: string,
]
