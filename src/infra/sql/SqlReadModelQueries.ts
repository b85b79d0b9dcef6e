import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { AGAIN, daysSinceBefore, NEW_USERS } from "../../domain/measure/activeUsers.ts"
import { byCell } from "../../domain/projection/CellSums.ts"
import { LIVE_GROUP, type ReadModel } from "../../domain/projection/ReadModel.ts"
import {
  type CellComparison,
  type Cell,
  type ClaimedPartition,
  INTAKE,
  ReadModelQueries,
  type Returned,
  type Standing,
} from "../../domain/projection/ReadModelQueries.ts"
import type { DayRange } from "../../domain/time/calendar.ts"
import { explained } from "./explained.ts"
import type { BulkCopy } from "./BulkCopy.ts"
import { makeIdentityTables } from "./identityTables.ts"
import { type CheckpointRow, type IdentityRow, readCheckpoint, readIdentity, type SqlBigint } from "./rows.ts"
import { MEASURE_COLUMNS } from "./measureTables.ts"
import { makeOneValue } from "./oneValue.ts"
import { makePersonFacts } from "./personFacts.ts"
import { SharedDatabase } from "./SharedDatabase.ts"
import { fromStorable, toStorable } from "./storableText.ts"
import { WHOLE } from "./whole.ts"

/** Older than a store gets by itself. */
const OLD_DAYS = 4_000

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
    const oneValue = yield* makeOneValue
    const personFacts = yield* makePersonFacts
    const shared = yield* SharedDatabase

    /**
     * The lock makes an emptying wait, which nobody's snapshot hides: TRUNCATE takes the rows at once. It is taken before
     * the snapshot, and on the table that an emptying locks first, so that neither holds what the other waits for; in one
     * round trip with the beginning. Where there is one connection, nobody empties anything meanwhile.
     */
    const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY${shared ? "; LOCK TABLE settings IN ACCESS SHARE MODE" : ""}`
    const inSnapshot = <A, E, R>(questions: Effect.Effect<A, E, R>) =>
      Effect.provideService(sql.withTransaction(questions), SqlClient.BeginTransaction, begin)

    const snapshot = <A, E, R>(questions: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Effect.serviceOption(sql.transactionService), (open) =>
        Option.isSome(open) ? questions : inSnapshot(questions),
      )

    const within = ({ from, to }: DayRange) =>
      sql`day BETWEEN DATE '1970-01-01' + ${from}::int AND DATE '1970-01-01' + ${to}::int`

    const ofItem = (item: string | undefined) => (item === undefined ? sql`` : sql`AND item = ${toStorable(item)}`)

    /** One statement, and what it says is of one moment, in a snapshot or not. */
    const standing = Effect.map(
      sql<StandingRow>`
        SELECT (SELECT settings FROM settings), ${sql.literal(WHOLE)} AS whole,
          (SELECT control_end FROM settings) AS "controlEnd",
          (SELECT json_agg(m ORDER BY id) FROM (
            SELECT ${sql.literal(MEASURE_COLUMNS)} FROM measures WHERE state <> 'dropped') AS m) AS measures,
          (SELECT json_build_object('from', min(day) - DATE '1970-01-01', 'to', max(day) - DATE '1970-01-01')
            FROM cells WHERE measure = ${INTAKE} AND stat = 'activity' HAVING count(*) > 0) AS stored,
          (SELECT json_agg(c ORDER BY partition) FROM checkpoints c WHERE projector_group = ${LIVE_GROUP}) AS checkpoints`,
      ([row]): Standing => ({
        ...row!,
        measures: row!.measures ?? [],
        checkpoints: (row!.checkpoints ?? []).flatMap((held) => readCheckpoint(held) ?? []),
      }),
    )

    /** The statistics of a measure from one on, each found from the one before: cells are kept in their order. */
    const statsOf = (measure: number, from = "") => sql`(
      WITH RECURSIVE found(stat) AS (
        SELECT min(stat) FROM cells WHERE measure = ${measure} AND stat >= ${from}
        UNION ALL SELECT (SELECT min(stat) FROM cells c WHERE measure = ${measure} AND c.stat > found.stat) FROM found
          WHERE found.stat IS NOT NULL)
      SELECT stat FROM found WHERE stat IS NOT NULL)`

    /** A day of a statistic as one array, in the order of the table's key: both sides spend more on a row than on what it holds. */
    const cells = Effect.fnUntraced(function* (
      measure: number,
      range: DayRange,
      filter: { readonly stats?: ReadonlyArray<string>; readonly item?: string } = {},
    ) {
      const stats =
        filter.stats === undefined
          ? sql`${statsOf(measure)} AS wanted(wanted_stat)`
          : sql`unnest(${[...new Set(filter.stats)].map(toStorable)}::text[]) AS wanted(wanted_stat)`
      const packed = yield* oneValue<ReadonlyArray<PackedCells>>(sql`
        SELECT json_agg(json_build_array(day - DATE '1970-01-01', wanted_stat, items, amounts, revisions))
        FROM ${stats}, LATERAL (
          SELECT day, json_agg(item) AS items, json_agg(amount::text) AS amounts,
            json_agg(json_build_array(item, extract(epoch FROM revised_at) * 1000, last_cause))
              FILTER (WHERE revised_at IS NOT NULL) AS revisions
          FROM cells WHERE measure = ${measure} AND stat = wanted_stat AND ${within(range)} ${ofItem(filter.item)}
          GROUP BY day) AS of_day`)
      return (packed ?? []).flatMap(unpackCells).sort(byCell)
    })

    const compareCells = (before: number, after: number, limit: number) =>
      Effect.map(
        sql<{ readonly found: PackedComparison }>`
          WITH both_sides AS MATERIALIZED (
            SELECT day, stat, item, b.amount AS before, a.amount AS after
            FROM (SELECT * FROM cells WHERE measure = ${before}) b
            FULL JOIN (SELECT * FROM cells WHERE measure = ${after}) a USING (day, stat, item)),
          differing AS (SELECT * FROM both_sides WHERE before IS DISTINCT FROM after),
          shown AS (SELECT * FROM differing WHERE stat <> ${NEW_USERS} AND NOT starts_with(stat, ${AGAIN}))
          SELECT json_build_object(
            'equal', (SELECT count(*) FROM both_sides WHERE before = after),
            'added', (SELECT count(*) FROM differing WHERE before IS NULL),
            'removed', (SELECT count(*) FROM differing WHERE after IS NULL),
            'changed', (SELECT count(*) FROM differing WHERE before IS NOT NULL AND after IS NOT NULL),
            'days', (SELECT count(DISTINCT day) FROM differing),
            'sums', (SELECT coalesce(json_agg(json_build_array(stat, before::text, after::text) ORDER BY stat), '[]') FROM (
              SELECT stat, coalesce(sum(before), 0) AS before, coalesce(sum(after), 0) AS after FROM both_sides
              WHERE stat IN (SELECT stat FROM shown) GROUP BY stat) AS per_stat),
            'biggest', (SELECT coalesce(json_agg(json_build_array(
                day - DATE '1970-01-01', item, stat, before::text, after::text)), '[]') FROM (
              SELECT * FROM (SELECT *, abs(coalesce(after, 0) - coalesce(before, 0)) AS size FROM shown) AS sized
              ORDER BY row_number() OVER (PARTITION BY stat ORDER BY size DESC, day, item), size DESC, stat
              LIMIT ${limit}) AS top)) AS found`,
        ([row]): CellComparison => {
          const { sums, biggest, ...counts } = row!.found
          return {
            ...counts,
            sums: sums.map(([stat, before, after]) => ({ stat: fromStorable(stat), before, after })),
            biggest: biggest.map(([day, item, stat, before, after]) => ({
              day,
              item: fromStorable(item),
              stat: fromStorable(stat),
              before,
              after,
            })),
          }
        },
      )

    /**
     * Statistics that tell how many days ago persons were observed before; nobody was observed before somebody was new. Where that is
     * longer ago than any product is old, it was an event with a wrong clock, and only those are looked for that there are.
     */
    const statsOfPersons = (measure: number, range: DayRange) => sql`(
      WITH age(days) AS (SELECT ${range.to}::int - (min(day) - DATE '1970-01-01') FROM cells
        WHERE measure = ${measure} AND stat = ${NEW_USERS})
      SELECT ${NEW_USERS}::text AS stat, NULL::int AS since
      UNION ALL SELECT ${AGAIN}::text || since, since FROM age, generate_series(1, days) AS since WHERE days <= ${OLD_DAYS}
      UNION ALL SELECT stat, substr(stat, ${AGAIN.length + 1})::int FROM age, ${statsOf(measure, AGAIN)} AS there
        WHERE days > ${OLD_DAYS} AND starts_with(stat, ${AGAIN})) AS counted`

    /**
     * Of the persons that were observed N days before, those of the first N days of the range count: they were before it.
     * `OFFSET 0` makes the planner look up these days of each statistic, where it would read all cells of the range.
     */
    const uniquesByValue = (measure: number, range: DayRange, value?: string) =>
      Effect.map(
        oneValue<Readonly<Record<string, number>>>(sql`
          SELECT json_object_agg(item, users) FROM (
            SELECT item, sum(amount) AS users FROM ${statsOfPersons(measure, range)}, LATERAL (
              SELECT item, amount FROM cells WHERE measure = ${measure} AND stat = counted.stat ${ofItem(value)}
                AND day BETWEEN DATE '1970-01-01' + ${range.from}::int
                  AND DATE '1970-01-01' + least(${range.to}::int, ${range.from}::int + since - 1) OFFSET 0) AS c
            GROUP BY item) AS found`),
        (found): ReadonlyMap<string, number> =>
          new Map(Object.entries(found ?? {}).map(([item, users]) => [fromStorable(item), users])),
      )

    const returned = (measure: number, value: string, range: DayRange) =>
      Effect.map(
        oneValue<ReadonlyArray<PackedReturned>>(sql`
          SELECT json_agg(json_build_array(stat, days, amounts)) FROM (
            SELECT stat, json_agg(day - DATE '1970-01-01') AS days, json_agg(amount) AS amounts
            FROM cells WHERE measure = ${measure} AND ${within(range)} ${ofItem(value)}
              AND (stat = ${NEW_USERS} OR starts_with(stat, ${AGAIN}))
            GROUP BY stat) AS c`),
        (packed) =>
          (packed ?? []).flatMap(([stat, days, amounts]) =>
            days.map((day, n): Returned => ({ day, since: daysSinceBefore(stat)!, users: amounts[n]! })),
          ),
      )

    return ReadModelQueries.of({
      snapshot: (questions) => snapshot(questions).pipe(explained("read the tables at one moment")),
      cells: (measure, range, filter) => cells(measure, range, filter).pipe(explained("read cells")),
      compareCells: (before, after, limit) =>
        compareCells(before, after, limit).pipe(explained("compare the cells of two builds")),
      standing: standing.pipe(explained("read how the tables stand")),
      uniquesByValue: (measure, range, value) => uniquesByValue(measure, range, value).pipe(explained("count persons")),
      returned: (measure, value, range) => returned(measure, value, range).pipe(explained("count persons")),
      personPoints: (measure) => snapshot(personFacts.personPoints(measure)).pipe(explained("read points")),
      personFacts: (measure) => snapshot(personFacts.personFacts(measure)).pipe(explained("read facts")),
      identities: (distinctIds) => identityTables.look(distinctIds).pipe(explained("read who is who")),
      personOf: (distinctId) =>
        Effect.map(
          sql<{ readonly rows: ReadonlyArray<IdentityRow> | null }>`
              SELECT json_agg(json_build_array(key, distinct_id, older, person, link_time, link_user) ORDER BY key) AS rows
              FROM distinct_ids WHERE person = (
                SELECT person FROM distinct_ids WHERE distinct_id = ${toStorable(distinctId)} AND NOT older)`,
          ([row]) => (row?.rows ?? []).map(readIdentity),
        ).pipe(explained("read who is who")),
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
      counting: Effect.map(
        // Persons are counted in the order of their keys, which have few holes.
        sql<{ readonly projector_group: string; readonly share: number }>`
          SELECT projector_group, (min(counted_to)::float8 / greatest(1, (SELECT max(person) FROM distinct_ids))) AS share
          FROM counting JOIN measures ON id = measure WHERE state <> 'dropped' GROUP BY projector_group`,
        (rows) => new Map(rows.map(({ projector_group, share }) => [projector_group, share])),
      ).pipe(explained("read how many persons are counted")),
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

interface PackedComparison extends Omit<CellComparison, "sums" | "biggest"> {
  readonly sums: ReadonlyArray<readonly [stat: string, before: string, after: string]>
  readonly biggest: ReadonlyArray<
    readonly [day: number, item: string, stat: string, before: string | null, after: string | null]
  >
}

/** What `standing` selects, as JSON carries it. */
interface StandingRow extends Omit<Standing, "measures" | "checkpoints"> {
  readonly measures: Standing["measures"] | null
  readonly checkpoints: ReadonlyArray<CheckpointRow> | null
}

/** Persons of one statistic: an amount for each of its days. */
type PackedReturned = readonly [stat: string, days: ReadonlyArray<number>, amounts: ReadonlyArray<number>]

/** Cells of one day and statistic; and of those that were revised, or `null` for none, when (ms) and why. */
type PackedCells = readonly [
  day: number,
  stat: string,
  items: ReadonlyArray<string>,
  amounts: ReadonlyArray<string>,
  revisions: ReadonlyArray<readonly [item: string, at: number, cause: string]> | null,
]

const unpackCells = ([day, storedStat, items, amounts, revisions]: PackedCells): ReadonlyArray<Cell> => {
  const stat = fromStorable(storedStat)
  const revised = revisions === null ? null : new Map(revisions.map(([item, at, cause]) => [item, { at, cause }]))
  return items.map((item, n) => {
    const revision = revised?.get(item)
    return {
      day,
      item: fromStorable(item),
      stat,
      amount: amounts[n]!,
      revisedAt: revision?.at ?? null,
      revisionCause: revision?.cause ?? null,
    }
  })
}
