import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { DistinctId } from "../../domain/identity/distinctId.ts"
import type { AliasStatement } from "../../domain/identity/links.ts"
import type { Identity } from "../../domain/identity/persons.ts"
import type { Fact } from "../../domain/measure/Fact.ts"
import { encodePoints } from "../../domain/measure/points.ts"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import { INTAKE } from "../../domain/projection/ReadModelQueries.ts"
import { explained } from "./explained.ts"
import {
  type CheckpointRow,
  type IdentityRow,
  readCheckpoint,
  readIdentity,
  type SqlBigint,
  unpackFact,
  type PackedFactRow,
} from "./rows.ts"
import type { CellDelta } from "../../domain/projection/CellSums.ts"
import type { DedupeEntry } from "../../domain/projection/DedupeIndex.ts"
import { CheckpointConflict, ReadModelUnavailable } from "../../domain/projection/errors.ts"
import {
  LIVE_GROUP,
  type LogEnd,
  type MeasureVersion,
  ReadModel,
  type Step,
} from "../../domain/projection/ReadModel.ts"
import type { Settings } from "../../domain/settings.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { layerMigrations } from "./migrations.ts"
import { fromStorable, toStorable } from "./storableText.ts"

/** Rows in one statement: bounds the memory of a parameter list; more would not be faster. */
const ROWS_MAX = 20_000

/** The read model in Postgres, behind whatever `SqlClient` is given: PGlite or a server. */
export const layerSqlReadModel: Layer.Layer<ReadModel, ReadModelUnavailable, SqlClient.SqlClient> = Layer.effect(
  ReadModel,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    /** Runs a statement for slices of rows, each column one array parameter. */
    const inSlices = <A>(
      rows: ReadonlyArray<A>,
      statement: (slice: ReadonlyArray<A>) => Effect.Effect<unknown, SqlError>,
    ): Effect.Effect<void, SqlError> =>
      Effect.gen(function* () {
        for (let from = 0; from < rows.length; from += ROWS_MAX) {
          yield* statement(rows.length <= ROWS_MAX ? rows : rows.slice(from, from + ROWS_MAX))
        }
      })

    const settings = Effect.map(
      sql<{ readonly settings: Settings }>`SELECT settings FROM settings`,
      (rows) => rows[0]?.settings ?? null,
    )

    const measures = Effect.map(
      sql<{ readonly id: number; readonly state: MeasureVersion["state"]; readonly definition: MetricDefinition }>`
        SELECT id, state, definition FROM measures WHERE state IN ('building', 'live') ORDER BY id`,
      (rows): ReadonlyArray<MeasureVersion> => rows.map(({ id, state, definition }) => ({ id, state, definition })),
    )

    const checkpoint = (group: string, partition: number) =>
      Effect.map(
        sql<CheckpointRow>`SELECT * FROM checkpoints WHERE projector_group = ${group} AND partition = ${partition}`,
        (rows) => (rows[0] === undefined ? null : readCheckpoint(rows[0])),
      )

    const identities = Effect.fnUntraced(function* (distinctIds: ReadonlyArray<DistinctId>) {
      const rows: Array<Identity> = []
      const statements: Array<AliasStatement> = []
      const seen = new Set<number>()
      yield* inSlices(distinctIds, (slice) =>
        Effect.gen(function* () {
          const found = yield* sql<IdentityRow>`
            SELECT * FROM distinct_ids WHERE person IN (
              SELECT person FROM distinct_ids WHERE distinct_id = ANY(${slice.map(toStorable)}::text[]))`
          for (const row of found) {
            if (!seen.has(row.key)) rows.push(readIdentity(row))
            seen.add(row.key)
          }
        }),
      )
      const users = rows.filter((row) => row.distinctId.startsWith("u:")).map((row) => row.distinctId.slice(2))
      const pairs = new Set<string>()
      yield* inSlices(users, (slice) =>
        Effect.gen(function* () {
          const names = slice.map(toStorable)
          const found = yield* sql<AliasRow>`
            SELECT * FROM aliases WHERE first_user = ANY(${names}::text[]) OR second_user = ANY(${names}::text[])`
          for (const row of found) {
            const key = JSON.stringify([row.first_user, row.second_user])
            if (!pairs.has(key)) statements.push(readAlias(row))
            pairs.add(key)
          }
        }),
      )
      const [next] = yield* sql<{
        readonly next: SqlBigint
      }>`SELECT coalesce(max(key), 0) + 1 AS next FROM distinct_ids`
      return { rows, statements, nextKey: Number(next!.next) }
    })

    const facts = Effect.fnUntraced(function* (ids: ReadonlyArray<number>, keys: ReadonlyArray<number>) {
      const byMeasure = new Map(ids.map((id) => [id, new Map<number, Fact>()]))
      yield* inSlices(keys, (slice) =>
        Effect.gen(function* () {
          // One row per identity: drivers spend more on a row than on its bytes.
          const found = yield* sql<{
            readonly measure: number
            readonly key: number
            readonly rows: ReadonlyArray<PackedFactRow>
          }>`
            SELECT measure, key, json_agg(json_build_array(month, value, mask, encode(points, 'base64'))) AS rows
            FROM facts WHERE measure = ANY(${ids}::int[]) AND key = ANY(${slice}::int[]) GROUP BY measure, key`
          for (const { measure, key, rows } of found) byMeasure.get(measure)!.set(key, unpackFact(rows))
        }),
      )
      return ids.map((id): ReadonlyMap<number, Fact> => byMeasure.get(id)!)
    })

    const dedupeEntries = (partition: number, from: number) =>
      Effect.map(
        sql<{ readonly sequence: SqlBigint; readonly logged_at: SqlBigint; readonly fingerprints: Uint8Array }>`
          SELECT sequence, logged_at, fingerprints FROM dedupe
          WHERE partition = ${partition} AND logged_at >= ${Number.isFinite(from) ? from : 0} ORDER BY sequence`,
        (rows): ReadonlyArray<DedupeEntry> =>
          rows.map((row) => ({
            sequence: Number(row.sequence),
            loggedAt: Number(row.logged_at),
            // Copied, since the driver's bytes may not be aligned to 32 bits.
            fingerprints: new Uint32Array(Uint8Array.from(row.fingerprints).buffer),
          })),
      )

    const duplicates = (partition: number) =>
      Effect.map(
        sql<{ readonly sequence: SqlBigint; readonly places: string }>`
          SELECT sequence, places FROM duplicates WHERE partition = ${partition}`,
        (rows): ReadonlyMap<number, ReadonlySet<number>> =>
          new Map(rows.map((row) => [Number(row.sequence), new Set(row.places.split(",").map(Number))])),
      )

    const moveCheckpoint = Effect.fnUntraced(function* ({ group, partition, expected, next }: Step) {
      const { position, chain, logTime, counts } = next
      const values = {
        incarnation: position.incarnation,
        sequence: position.sequence,
        batch_id: position.batchId,
        chain: JSON.stringify(chain),
        log_time: logTime,
        ...counts,
      }
      const moved =
        expected === null
          ? yield* sql`INSERT INTO checkpoints ${sql.insert({ projector_group: group, partition, ...values })}
              ON CONFLICT DO NOTHING RETURNING partition`
          : yield* sql`UPDATE checkpoints SET ${sql.update(values)}
              WHERE projector_group = ${group} AND partition = ${partition} AND incarnation = ${expected.incarnation}
                AND sequence = ${expected.sequence} AND batch_id = ${expected.batchId} RETURNING partition`
      if (moved.length !== 1) return yield* new CheckpointConflict({ group, partition, expected })
    })

    const writeIdentities = (rows: ReadonlyArray<Identity>) =>
      inSlices(
        rows,
        (slice) => sql`
          INSERT INTO distinct_ids SELECT * FROM unnest(
            ${slice.map((row) => row.key)}::int[], ${slice.map((row) => toStorable(row.distinctId))}::text[],
            ${slice.map((row) => row.older)}::bool[], ${slice.map((row) => row.person)}::int[],
            ${slice.map((row) => row.link?.time ?? null)}::bigint[],
            ${slice.map((row) => (row.link === null ? null : toStorable(row.link.userId)))}::text[])
          ON CONFLICT (key) DO UPDATE SET person = excluded.person, link_time = excluded.link_time, link_user = excluded.link_user`,
      )

    const writeStatements = (statements: ReadonlyArray<AliasStatement>) =>
      inSlices(
        statements,
        (slice) => sql`
          INSERT INTO aliases SELECT * FROM unnest(
            ${slice.map((row) => toStorable(row.first))}::text[], ${slice.map((row) => toStorable(row.second))}::text[],
            ${slice.map((row) => row.time)}::bigint[], ${slice.map((row) => row.joined)}::bool[])
          ON CONFLICT (first_user, second_user) DO UPDATE SET time = excluded.time, joined = excluded.joined`,
      )

    const writeFacts = Effect.fnUntraced(function* (measure: number, changes: Step["changes"]["measures"][0]["facts"]) {
      const deletes = changes.flatMap(({ key, deletes }) => deletes.map((row) => ({ key, row })))
      yield* inSlices(
        deletes,
        (slice) => sql`
          DELETE FROM facts f USING unnest(
            ${slice.map(({ key }) => key)}::int[], ${slice.map(({ row }) => row.month)}::int[],
            ${slice.map(({ row }) => toStorable(row.value))}::text[]) AS gone(key, month, value)
          WHERE f.measure = ${measure} AND f.key = gone.key AND f.month = gone.month AND f.value = gone.value`,
      )
      const upserts = changes.flatMap(({ key, upserts }) => upserts.map((row) => ({ key, row })))
      yield* inSlices(
        upserts,
        (slice) => sql`
          INSERT INTO facts SELECT ${measure}::int, key, month, value, mask, decode(points, 'base64') FROM unnest(
            ${slice.map(({ key }) => key)}::int[], ${slice.map(({ row }) => row.month)}::int[],
            ${slice.map(({ row }) => toStorable(row.value))}::text[], ${slice.map(({ row }) => row.mask)}::int[],
            ${slice.map(({ row }) => (row.points.times.length === 0 ? null : Buffer.from(encodePoints(row.points)).toString("base64")))}::text[])
            AS row(key, month, value, mask, points)
          ON CONFLICT (measure, key, month, value) DO UPDATE SET mask = excluded.mask, points = excluded.points`,
      )
    })

    /** Adds to cells. One that was published before and changes now is revised. A cell of zero is no row. */
    const writeCells = Effect.fnUntraced(function* (
      measure: number,
      deltas: ReadonlyArray<CellDelta>,
      revisedAt: number | null,
    ) {
      const keys = (slice: ReadonlyArray<CellDelta>) => sql`
        ${slice.map(({ day }) => formatDay(day))}::date[], ${slice.map(({ stat }) => toStorable(stat))}::text[],
        ${slice.map(({ item }) => toStorable(item))}::text[]`
      const revised = revisedAt === null ? sql`` : sql`, revised_at = to_timestamp(${revisedAt / 1000}::float8)`
      yield* inSlices(
        deltas,
        (slice) => sql`
          INSERT INTO cells (measure, day, stat, item, amount, last_cause)
          SELECT ${measure}::int, day, stat, item, amount, cause FROM unnest(
            ${keys(slice)}, ${slice.map(({ amount }) => amount)}::numeric[], ${slice.map(({ cause }) => cause)}::text[])
            AS row(day, stat, item, amount, cause)
          ON CONFLICT (measure, day, stat, item) DO UPDATE SET amount = trim_scale(cells.amount + excluded.amount),
            last_cause = excluded.last_cause ${revised}`,
      )
      yield* inSlices(
        deltas,
        (slice) => sql`
          DELETE FROM cells c USING unnest(${keys(slice)}) AS row(day, stat, item)
          WHERE c.measure = ${measure} AND c.day = row.day AND c.stat = row.stat AND c.item = row.item AND c.amount = 0`,
      )
    })

    const writeDedupe = Effect.fnUntraced(function* ({ group, partition, dedupe, dedupeFrom, duplicates }: Step) {
      if (group !== LIVE_GROUP) return
      yield* inSlices(
        dedupe,
        (slice) => sql`
          INSERT INTO dedupe SELECT ${partition}::int, sequence, logged_at, decode(fingerprints, 'base64') FROM unnest(
            ${slice.map(({ sequence }) => sequence)}::bigint[], ${slice.map(({ loggedAt }) => loggedAt)}::bigint[],
            ${slice.map(({ fingerprints }) => Buffer.from(fingerprints.buffer, fingerprints.byteOffset, fingerprints.byteLength).toString("base64"))}::text[])
            AS row(sequence, logged_at, fingerprints)`,
      )
      if (Number.isFinite(dedupeFrom)) {
        yield* sql`DELETE FROM dedupe WHERE partition = ${partition} AND logged_at < ${dedupeFrom}`
      }
      yield* inSlices(
        duplicates,
        (slice) => sql`
          INSERT INTO duplicates SELECT ${partition}::int, * FROM unnest(
            ${slice.map(({ sequence }) => sequence)}::bigint[], ${slice.map(({ places }) => places.join())}::text[])`,
      )
    })

    const commit = (step: Step) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* moveCheckpoint(step)
          yield* writeIdentities(step.changes.identities)
          yield* writeStatements(step.changes.statements)
          const revisedAt = step.revises ? step.next.logTime : null
          for (const [m, { facts, cells }] of step.changes.measures.entries()) {
            yield* writeFacts(step.measures[m]!, facts)
            yield* writeCells(step.measures[m]!, cells, revisedAt)
          }
          if (step.group === LIVE_GROUP) yield* writeCells(INTAKE, step.intake, null)
          yield* writeDedupe(step)
          yield* inSlices(
            step.failures,
            (slice) => sql`
              INSERT INTO quarantine SELECT * FROM unnest(
                ${slice.map(({ partition }) => partition)}::int[], ${slice.map(({ sequence }) => sequence)}::bigint[],
                ${slice.map(({ place }) => place)}::int[], ${slice.map(({ metric }) => metric)}::text[],
                ${slice.map(({ cause }) => toStorable(cause))}::text[])
              ON CONFLICT DO NOTHING`,
          )
        }),
      )

    const register = (definitions: ReadonlyArray<MetricDefinition>) =>
      sql.withTransaction(
        Effect.gen(function* () {
          for (const definition of definitions) {
            yield* sql`INSERT INTO measures ${sql.insert({
              metric: definition.name,
              version: definition.version,
              state: "building",
              definition: JSON.stringify(definition),
            })} ON CONFLICT DO NOTHING`
          }
          yield* sql`UPDATE measures old SET state = 'detached' FROM measures new
            WHERE old.state = 'building' AND new.metric = old.metric AND new.version > old.version`
          return yield* measures
        }),
      )

    const discardBuilds = (ids: ReadonlyArray<number>) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`DELETE FROM facts WHERE measure = ANY(${ids}::int[])`
          yield* sql`DELETE FROM cells WHERE measure = ANY(${ids}::int[])`
          yield* sql`DELETE FROM checkpoints WHERE projector_group <> ${LIVE_GROUP}`
        }),
      )

    const promote = (group: string, ids: ReadonlyArray<number>) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`UPDATE measures old SET state = 'detached' FROM measures new
            WHERE new.id = ANY(${ids}::int[]) AND old.metric = new.metric AND old.state = 'live' AND old.id <> new.id`
          yield* sql`UPDATE measures SET state = 'live' WHERE id = ANY(${ids}::int[])`
          yield* sql`DELETE FROM checkpoints WHERE projector_group = ${group}`
        }),
      )

    const wipe = (next: Settings) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`TRUNCATE settings, measures, checkpoints, distinct_ids, aliases, facts, cells, dedupe, duplicates, quarantine RESTART IDENTITY`
          yield* sql`INSERT INTO settings (settings) VALUES (${JSON.stringify(next)}::json)`
        }),
      )

    return ReadModel.of({
      settings: settings.pipe(explained("read the settings of the read model")),
      isWhole: Effect.map(
        sql<{ readonly whole: boolean }>`SELECT whole FROM settings`,
        ([row]) => row?.whole === true,
      ).pipe(explained("read the state of the read model")),
      markWhole: Effect.asVoid(sql`UPDATE settings SET whole = true`).pipe(explained("mark the read model as whole")),
      discardBuilds: (ids) => discardBuilds(ids).pipe(explained("discard unfinished metrics")),
      controlEnd: Effect.map(
        sql<{ readonly control_end: LogEnd | null }>`SELECT control_end FROM settings`,
        ([row]) => row?.control_end ?? null,
      ).pipe(explained("read where the control facts ended")),
      noteControlEnd: (end) =>
        Effect.asVoid(sql`UPDATE settings SET control_end = ${JSON.stringify(end)}::json`).pipe(
          explained("note where the control facts end"),
        ),
      measures: measures.pipe(explained("read the metrics of the read model")),
      checkpoint: (group, partition) => checkpoint(group, partition).pipe(explained("read a checkpoint")),
      identities: (distinctIds) => identities(distinctIds).pipe(explained("read who is who")),
      facts: (ids, keys) => facts(ids, keys).pipe(explained("read facts")),
      dedupeEntries: (partition, from) => dedupeEntries(partition, from).pipe(explained("read the dedupe index")),
      duplicates: (partition) => duplicates(partition).pipe(explained("read the duplicates")),
      commit: (step) => commit(step).pipe(explained("commit a step of the projection")),
      register: (definitions) => register(definitions).pipe(explained("register metrics")),
      promote: (group, ids) => promote(group, ids).pipe(explained("promote metrics")),
      wipe: (next) => wipe(next).pipe(explained("empty the read model")),
    })
  }),
).pipe(Layer.provide(layerMigrations))

interface AliasRow {
  readonly first_user: string
  readonly second_user: string
  readonly time: SqlBigint
  readonly joined: boolean
}

const readAlias = (row: AliasRow): AliasStatement => ({
  first: fromStorable(row.first_user),
  second: fromStorable(row.second_user),
  time: Number(row.time),
  joined: row.joined,
})
