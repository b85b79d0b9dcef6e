import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import type { StepChanges } from "../../domain/projection/completeStep.ts"
import type { DedupeEntry } from "../../domain/projection/DedupeIndex.ts"
import { EVERYBODY, NOBODY } from "../../domain/projection/counting.ts"
import { CheckpointConflict, type ReadModelUnavailable } from "../../domain/projection/errors.ts"
import {
  type Claim,
  type KnownTables,
  LIVE_GROUP,
  type LogEnd,
  type MeasureVersion,
  ReadModel,
  type Step,
  type Uncounted,
} from "../../domain/projection/ReadModel.ts"
import { INTAKE } from "../../domain/projection/ReadModelQueries.ts"
import type { Settings } from "../../domain/settings.ts"
import type { BulkCopy } from "./BulkCopy.ts"
import { makeCellTables } from "./cellTables.ts"
import { isConflictInTime } from "./classifyPostgresError.ts"
import { explained } from "./explained.ts"
import { makeFactTables } from "./factTables.ts"
import { makeIdentityTables } from "./identityTables.ts"
import { inSlices } from "./inSlices.ts"
import { layerMigrations } from "./migrations.ts"
import { measuringCommit } from "./readModelMetrics.ts"
import { type CheckpointRow, readCheckpoint, type SqlBigint } from "./rows.ts"
import { toStorable } from "./storableText.ts"

/**
 * How often a step is made again that another got in the way of. Each time another was committed, so that all together
 * get on; so many in a row is more than bad luck, and its owner should wait a little.
 */
const CONFLICT_RETRIES_MAX = 32

/** The read model in Postgres, behind whatever `SqlClient` is given: PGlite or a server. */
export const layerSqlReadModel: Layer.Layer<ReadModel, ReadModelUnavailable, SqlClient.SqlClient | BulkCopy> =
  Layer.effect(
    ReadModel,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const identityTables = yield* makeIdentityTables
      const factTables = yield* makeFactTables
      const cellTables = yield* makeCellTables

      const settings = Effect.map(
        sql<{ readonly settings: Settings }>`SELECT settings FROM settings`,
        (rows) => rows[0]?.settings ?? null,
      )

      const measures = Effect.map(
        sql<MeasureVersion>`
          SELECT id, state, projector_group AS "group", definition FROM measures
          WHERE state IN ('building', 'live') ORDER BY id`,
        (rows): ReadonlyArray<MeasureVersion> => rows.map((row) => ({ ...row })),
      )

      const checkpoint = (group: string, partition: number) =>
        Effect.map(
          sql<CheckpointRow>`SELECT * FROM checkpoints WHERE projector_group = ${group} AND partition = ${partition}`,
          (rows) => (rows[0] === undefined ? null : readCheckpoint(rows[0])),
        )

      const claim = (group: string, partition: number, owner: string) =>
        sql.withTransaction(
          Effect.gen(function* () {
            // Waits while the set of measures is changed, which ends the claims that it finds: none may slip in between.
            yield* sql`LOCK TABLE measures IN ROW EXCLUSIVE MODE`
            const [row] = yield* sql<CheckpointRow>`
              INSERT INTO checkpoints (projector_group, partition, epoch, owner)
              VALUES (${group}, ${partition}, nextval('epochs'), ${owner})
              ON CONFLICT (projector_group, partition) DO UPDATE
                SET epoch = excluded.epoch, owner = excluded.owner, claimed_at = now() RETURNING *`
            return { epoch: Number(row!.epoch), checkpoint: readCheckpoint(row!) } satisfies Claim
          }),
        )

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

      const duplicates = (partition: number, after: number) =>
        Effect.map(
          sql<{ readonly sequence: SqlBigint; readonly places: string }>`
          SELECT sequence, places FROM duplicates WHERE partition = ${partition} AND sequence > ${after}`,
          (rows): ReadonlyMap<number, ReadonlySet<number>> =>
            new Map(rows.map((row) => [Number(row.sequence), new Set(row.places.split(",").map(Number))])),
        )

      const conflictOf = ({ group, partition, epoch, expected }: Step) =>
        new CheckpointConflict({ group, partition, epoch, expected })

      /** Where the step must still find its checkpoint: the position that it read from, under the epoch of its claim. */
      const claimed = ({ group, partition, epoch, expected }: Step) => sql`
      projector_group = ${group} AND partition = ${partition} AND epoch = ${epoch} AND ${
        expected === null
          ? sql`sequence IS NULL`
          : sql`incarnation = ${expected.incarnation} AND sequence = ${expected.sequence} AND batch_id = ${expected.batchId}`
      }`

      /** Refuses a step early that could not be committed; what counts is `moveCheckpoint`. */
      const checkClaim = Effect.fnUntraced(function* (step: Step) {
        const found = yield* sql`SELECT 1 AS found FROM checkpoints WHERE ${claimed(step)}`
        if (found.length !== 1) return yield* conflictOf(step)
      })

      const moveCheckpoint = Effect.fnUntraced(function* (step: Step) {
        const { position, chain, logTime, counts } = step.next
        const values = {
          incarnation: position.incarnation,
          sequence: position.sequence,
          batch_id: position.batchId,
          chain: JSON.stringify(chain),
          log_time: logTime,
          ...counts,
        }
        const moved =
          yield* sql`UPDATE checkpoints SET ${sql.update(values)}, committed_at = now() WHERE ${claimed(step)} RETURNING partition`
        if (moved.length !== 1) return yield* conflictOf(step)
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

      /**
       * Up to whom measures count. Steps of measures that are being counted hold the table, so that `countOn` meets none of
       * them half done; what counts everybody does so for good, and need not be held.
       */
      const marks = Effect.fnUntraced(function* (measures: ReadonlyArray<number>) {
        const read = sql<{ readonly measure: number; readonly counted_to: number }>`
          SELECT measure, counted_to FROM counting WHERE measure = ANY(${measures}::int[])`
        const held =
          (yield* read).length === 0 ? [] : yield* Effect.andThen(sql`LOCK TABLE counting IN ROW SHARE MODE`, read)
        const found = new Map(held.map((row) => [row.measure, row.counted_to]))
        return measures.map((measure) => found.get(measure) ?? EVERYBODY)
      })

      type Settle = (known: KnownTables) => Effect.Effect<StepChanges, ReadModelUnavailable>

      /** Writes what a step changes; cells of measures are revised at an instant, or were not published before. */
      const writeChanges = Effect.fnUntraced(function* (
        changes: StepChanges,
        measures: ReadonlyArray<number>,
        isKnown: (key: number) => boolean,
        revisedAt: (measure: number) => number | null,
      ) {
        yield* identityTables.write(changes.identities, isKnown)
        yield* identityTables.writeStatements(changes.statements)
        for (const [m, { facts }] of changes.measures.entries()) yield* factTables.write(measures[m]!, facts)
        // Last, since partitions meet in the cells: the shorter these are locked, the better.
        for (const [m, { cells }] of changes.measures.entries()) {
          const measure = measures[m]!
          yield* cellTables.write(measure, cells, revisedAt(measure))
        }
      })

      /** `onSqlError` hears the failures of what `settle` looks up, which it gets in the words of the port. */
      const commitOnce = (
        step: Step,
        settle: Settle,
        onSqlError: (error: SqlError) => Effect.Effect<void>,
      ): Effect.Effect<void, CheckpointConflict | ReadModelUnavailable | SqlError> =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* checkClaim(step)
            const knownKeys = new Set<number>()
            const changes = yield* settle({
              marks: (measures) => marks(measures).pipe(Effect.tapError(onSqlError), explained("read who is counted")),
              identities: (distinctIds, withOlderParts) =>
                identityTables.lookLocked(distinctIds, withOlderParts).pipe(
                  Effect.tap(({ rows }) => Effect.sync(() => rows.forEach(({ key }) => knownKeys.add(key)))),
                  Effect.tapError(onSqlError),
                  explained("read who is who"),
                ),
              facts: (needs) => factTables.facts(needs).pipe(Effect.tapError(onSqlError), explained("read facts")),
            })
            yield* writeChanges(
              changes,
              step.measures,
              (key) => knownKeys.has(key),
              (measure) => (step.revises(measure) ? step.next.logTime : null),
            )
            if (step.group === LIVE_GROUP) yield* cellTables.write(INTAKE, step.intake, null)
            // Before what is keyed by places in the log: of two that make the same step the later one is refused here.
            yield* moveCheckpoint(step)
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

      /** Makes a step, and makes it again when another partition's got in its way: who waited or lost looks anew. */
      const commit = (step: Step, settle: Settle) =>
        Effect.suspend(() => {
          let conflicts = false
          const note = (error: unknown) =>
            Effect.sync(() => {
              conflicts ||= isSqlError(error) && isConflictInTime(error)
            })
          const attempt = Effect.suspend(() => {
            conflicts = false
            return Effect.tapError(commitOnce(step, settle, note), note)
          })
          return Effect.retry(attempt, { while: () => conflicts, times: CONFLICT_RETRIES_MAX })
        })

      const countOn = (group: string, limit: number, settle: (uncounted: Uncounted) => StepChanges) =>
        sql.withTransaction(
          Effect.gen(function* () {
            // First, so that it waits for whoever empties the tables, or they for it, before either holds anything else.
            const held = yield* settings
            const uncounted = sql<{
              readonly id: number
              readonly definition: MetricDefinition
              readonly mark: number
            }>`
              SELECT m.id, m.definition, c.counted_to AS mark FROM counting c JOIN measures m ON m.id = c.measure
              WHERE m.projector_group = ${group} AND m.state IN ('building', 'live') ORDER BY m.id`
            if (held === null || (yield* uncounted).length === 0) return true
            yield* sql`LOCK TABLE counting IN EXCLUSIVE MODE`
            const found = yield* uncounted
            if (found.length === 0) return true
            const from = Math.min(...found.map(({ mark }) => mark))
            const measures = found.filter(({ mark }) => mark === from)
            const ids = measures.map(({ id }) => id)
            const next = yield* identityTables.nextPersons(from, limit)
            if (next === null) {
              yield* sql`DELETE FROM counting WHERE measure = ANY(${ids}::int[])`
              return measures.length === found.length
            }
            const { last, rows } = next
            const keys = rows.map(({ key }) => key)
            const facts = yield* factTables.facts(ids.map((measure) => ({ measure, keys })))
            const counting = { from, to: last }
            const changes = settle({ settings: held, measures, counting, identities: rows, facts })
            const known = new Set(keys)
            yield* writeChanges(
              changes,
              ids,
              (key) => known.has(key),
              () => null,
            )
            yield* sql`UPDATE counting SET counted_to = ${last} WHERE measure = ANY(${ids}::int[])`
            return false
          }),
        )

      const newLiveEpochs = sql`UPDATE checkpoints SET epoch = nextval('epochs') WHERE projector_group = ${LIVE_GROUP}`

      /** Changes of the set of measures wait for each other. */
      const lockMeasures = sql`LOCK TABLE measures IN SHARE ROW EXCLUSIVE MODE`

      const register = (definitions: ReadonlyArray<MetricDefinition>) =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* lockMeasures
            const known = yield* sql<{ readonly metric: string; readonly version: number }>`
              SELECT metric, version FROM measures`
            const news = definitions.filter(({ name, version }) =>
              known.every((row) => row.metric !== name || row.version !== version),
            )
            if (news.length === 0) return yield* measures
            // Whoever works for the default group claims anew, to follow what is being built or to have it at once. First
            // of all, since it waits for steps that are being committed, and the first of them decides what `begun` is.
            yield* newLiveEpochs
            const [found] = yield* sql<{ readonly begun: boolean; readonly whole: boolean; readonly next: number }>`
              SELECT EXISTS (SELECT FROM checkpoints WHERE sequence IS NOT NULL) AS begun,
                coalesce((SELECT whole FROM settings), false) AS whole,
                (SELECT coalesce(max(id), 0) + 1 FROM measures) AS next`
            const state = found!.begun ? "building" : "live"
            const gathers = found!.begun || !found!.whole
            const group = found!.begun ? `build-${found!.next}` : LIVE_GROUP
            for (const definition of news) {
              yield* sql`INSERT INTO measures ${sql.insert({
                metric: definition.name,
                version: definition.version,
                state,
                projector_group: group,
                definition: JSON.stringify(definition),
              })}`
            }
            if (gathers) {
              yield* sql`INSERT INTO counting SELECT id, ${NOBODY} FROM measures WHERE id >= ${found!.next}`
            }
            yield* sql`UPDATE measures old SET state = 'detached' FROM measures new
              WHERE old.state = ${state} AND new.metric = old.metric AND new.version > old.version`
            // A group that builds nothing any more is no more.
            yield* sql`DELETE FROM checkpoints WHERE projector_group <> ${LIVE_GROUP} AND projector_group NOT IN (
              SELECT projector_group FROM measures WHERE state = 'building')`
            return yield* measures
          }),
        )

      const promote = (group: string) =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* lockMeasures
            // The default group stands still until this is through.
            yield* sql`SELECT epoch FROM checkpoints WHERE projector_group = ${LIVE_GROUP} ORDER BY partition FOR UPDATE`
            const behind = yield* sql`
            SELECT live.partition FROM checkpoints live LEFT JOIN checkpoints build
              ON build.projector_group = ${group} AND build.partition = live.partition
            WHERE live.projector_group = ${LIVE_GROUP} AND live.sequence IS NOT NULL
              AND (build.incarnation, build.sequence, build.batch_id)
                IS DISTINCT FROM (live.incarnation, live.sequence, live.batch_id)`
            if (behind.length > 0) return false
            const uncounted = yield* sql`
              SELECT c.measure FROM counting c JOIN measures m ON m.id = c.measure
              WHERE m.projector_group = ${group} AND m.state = 'building'`
            if (uncounted.length > 0) return false
            yield* sql`UPDATE measures old SET state = 'detached' FROM measures new
            WHERE new.projector_group = ${group} AND new.state = 'building'
              AND old.metric = new.metric AND old.state = 'live'`
            yield* sql`UPDATE measures SET state = 'live', projector_group = ${LIVE_GROUP}
            WHERE projector_group = ${group} AND state = 'building'`
            yield* sql`DELETE FROM checkpoints WHERE projector_group = ${group}`
            yield* newLiveEpochs
            return true
          }),
        )

      const made = Effect.map(
        sql<{ readonly made: string }>`SELECT made_at::text AS made FROM settings`,
        (rows) => rows[0]?.made ?? null,
      )

      const wipe = (next: Settings, expected: string | null) =>
        sql.withTransaction(
          Effect.gen(function* () {
            // Of two at once the later one looks when the earlier one is through.
            yield* sql`LOCK TABLE settings IN ACCESS EXCLUSIVE MODE`
            if ((yield* made) !== expected) return null
            yield* sql`TRUNCATE settings, measures, checkpoints, distinct_ids, aliases, facts, counting, cells, dedupe, duplicates, quarantine RESTART IDENTITY`
            yield* sql`ALTER SEQUENCE distinct_id_keys RESTART`
            yield* sql`INSERT INTO settings (settings) VALUES (${JSON.stringify(next)}::json)`
            return yield* made
          }),
        )

      return ReadModel.of({
        settings: settings.pipe(explained("read the settings of the read model")),
        isWhole: Effect.map(
          sql<{ readonly whole: boolean }>`SELECT whole FROM settings`,
          ([row]) => row?.whole === true,
        ).pipe(explained("read the state of the read model")),
        made: made.pipe(explained("read when the read model was made")),
        markWhole: (made) =>
          Effect.asVoid(sql`UPDATE settings SET whole = true WHERE made_at::text = ${made}`).pipe(
            explained("mark the read model as whole"),
          ),
        controlEnd: Effect.map(
          sql<{ readonly control_end: LogEnd | null }>`SELECT control_end FROM settings`,
          ([row]) => row?.control_end ?? null,
        ).pipe(explained("read where the control facts ended")),
        noteControlEnd: (end, made) =>
          Effect.asVoid(
            sql`UPDATE settings SET control_end = ${JSON.stringify(end)}::json WHERE made_at::text = ${made}`,
          ).pipe(explained("note where the control facts end")),
        measures: measures.pipe(explained("read the metrics of the read model")),
        checkpoint: (group, partition) => checkpoint(group, partition).pipe(explained("read a checkpoint")),
        claim: (group, partition, owner) => claim(group, partition, owner).pipe(explained("claim a partition")),
        dedupeEntries: (partition, from) => dedupeEntries(partition, from).pipe(explained("read the dedupe index")),
        duplicates: (partition, after) => duplicates(partition, after).pipe(explained("read the duplicates")),
        commit: (step, settle) =>
          commit(step, settle).pipe(explained("commit a step of the projection"), measuringCommit),
        countOn: (group, limit, settle) => countOn(group, limit, settle).pipe(explained("count persons")),
        register: (definitions) => register(definitions).pipe(explained("register metrics")),
        promote: (group) => promote(group).pipe(explained("promote metrics")),
        wipe: (next, made) => wipe(next, made).pipe(explained("empty the read model")),
      })
    }),
  ).pipe(Layer.provide(layerMigrations))
