import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { DistinctId } from "../../domain/identity/distinctId.ts"
import type { FactChange, StepChanges } from "../../domain/projection/StepChanges.ts"
import type { CheckpointConflict, ReadModelUnavailable } from "../../domain/projection/errors.ts"
import {
  type KnownTables,
  LIVE_GROUP,
  type LogEnd,
  type PersonCounter,
  ReadModel,
  type Step,
  type StepPlace,
} from "../../domain/projection/ReadModel.ts"
import { INTAKE } from "../../domain/projection/ReadModelQueries.ts"
import type { Settings } from "../../domain/settings.ts"
import type { BulkCopy } from "./BulkCopy.ts"
import { makeCellTables } from "./cellTables.ts"
import { makeCheckpointTables } from "./checkpointTables.ts"
import { isConflictInTime } from "./classifyPostgresError.ts"
import { makeCountingTables } from "./countingTables.ts"
import { makeDedupeTables } from "./dedupeTables.ts"
import { explained } from "./explained.ts"
import { type Crowded, makeFactTables } from "./factTables.ts"
import { makeIdentityTables } from "./identityTables.ts"
import { inSlices } from "./inSlices.ts"
import { makeMeasureTables } from "./measureTables.ts"
import { checkSchema, layerMigrations, SAME_SCHEMA } from "./migrations.ts"
import { measuringCommit } from "./readModelMetrics.ts"
import { toStorable } from "./storableText.ts"
import { WHOLE } from "./whole.ts"

/**
 * How often a step is made again that another got in the way of. Each time another was committed, so that all together
 * get on; so many in a row is more than bad luck, and its owner should wait a little.
 */
const CONFLICT_RETRIES_MAX = 32

const isConflict = (error: unknown): boolean => isSqlError(error) && isConflictInTime(error)

/** The read model in Postgres, behind whatever `SqlClient` is given: PGlite or a server. */
export const layerSqlReadModel: Layer.Layer<ReadModel, ReadModelUnavailable, SqlClient.SqlClient | BulkCopy> =
  Layer.effect(
    ReadModel,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const checkpointTables = yield* makeCheckpointTables
      const countingTables = yield* makeCountingTables
      const dedupeTables = yield* makeDedupeTables
      const measureTables = yield* makeMeasureTables
      const identityTables = yield* makeIdentityTables
      const factTables = yield* makeFactTables
      const cellTables = yield* makeCellTables

      const settings = Effect.map(
        sql<{ readonly settings: Settings }>`SELECT settings FROM settings`,
        (rows) => rows[0]?.settings ?? null,
      )

      type Settle = (known: KnownTables) => Effect.Effect<StepChanges, ReadModelUnavailable>

      /** Writes what changes of facts, and puts together what is crowded. */
      const writeFacts = Effect.fnUntraced(function* (
        measures: ReadonlyArray<number>,
        facts: ReadonlyArray<ReadonlyArray<FactChange>>,
        crowded: Crowded,
      ) {
        for (const [m, changes] of facts.entries()) yield* factTables.write(measures[m]!, changes)
        yield* factTables.compact(crowded)
      })

      /** `onSqlError` hears the failures of what `settle` looks up, which it gets in the words of the port. */
      const commitOnce = (
        step: Step,
        settle: Settle,
        onSqlError: (error: SqlError) => Effect.Effect<void>,
      ): Effect.Effect<void, CheckpointConflict | ReadModelUnavailable | SqlError> =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* checkpointTables.checkClaim(step)
            const countedTo = yield* countingTables.countedTo(step.measures)
            const knownKeys = new Set<number>()
            const crowded: Crowded = new Map()
            const changes = yield* settle({
              countedTo,
              identities: (distinctIds, withOlderParts, alone = []) =>
                identityTables.lookLocked(distinctIds, withOlderParts, alone).pipe(
                  Effect.tap(({ rows }) => Effect.sync(() => rows.forEach(({ key }) => knownKeys.add(key)))),
                  Effect.tapError(onSqlError),
                  explained("read who is who"),
                ),
              facts: (needs) =>
                factTables.facts(needs, crowded).pipe(Effect.tapError(onSqlError), explained("read facts")),
            })
            yield* identityTables.write(changes.identities, (key) => knownKeys.has(key))
            yield* identityTables.writeStatements(changes.statements)
            const facts = changes.measures.map(({ facts }) => facts)
            yield* writeFacts(step.measures, facts, crowded)
            // Last, since partitions meet in the cells: the shorter these are locked, the better.
            for (const [m, { cells }] of changes.measures.entries()) {
              const measure = step.measures[m]!
              yield* cellTables.write(measure, cells, step.revises(measure) ? step.next.logTime : null)
            }
            if (step.group === LIVE_GROUP) yield* cellTables.write(INTAKE, step.intake, null)
            // Before what is keyed by places in the log: of two that make the same step the later one is refused here.
            yield* checkpointTables.moveCheckpoint(step)
            yield* dedupeTables.write(step)
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

      const keysOf = Effect.fnUntraced(function* (place: StepPlace, distinctIds: ReadonlyArray<DistinctId>) {
        const names = distinctIds.map(toStorable)
        const known = yield* identityTables.keysOf(names)
        const missing = names.filter((_, n) => known[n] === null)
        if (missing.length === 0) return known.map((key) => key!)
        const added = yield* sql.withTransaction(
          Effect.gen(function* () {
            // Reading that table also keeps whoever empties the tables out until this transaction ends.
            yield* checkpointTables.checkClaim(place)
            yield* identityTables.add(missing)
            return yield* identityTables.keysOf(missing)
          }),
        )
        let next = 0
        return known.map((key) => key ?? added[next++]!)
      })

      /** Makes a step, and makes it again when another partition's got in its way: who waited or lost looks anew. */
      const commit = (step: Step, settle: Settle) =>
        Effect.suspend(() => {
          let conflicts = false
          const note = (error: unknown) =>
            Effect.sync(() => {
              conflicts ||= isConflict(error)
            })
          const attempt = Effect.suspend(() => {
            conflicts = false
            return Effect.tapError(commitOnce(step, settle, note), note)
          })
          return Effect.retry(attempt, { while: () => conflicts, times: CONFLICT_RETRIES_MAX })
        })

      /**
       * Counts in one transaction; it is made again when a step got in its way, such as one that parted the same device for
       * another measure.
       */
      const countNext = (group: string, limit: number, begin: () => PersonCounter) =>
        sql
          .withTransaction(
            Effect.gen(function* () {
              // First, so that it waits for whoever empties the tables, or they for it, before either holds anything else.
              const held = yield* settings
              const found = yield* countingTables.uncountedAlone(group)
              if (held === null || found.length === 0) return true
              const first = Math.min(...found.map(({ countedTo }) => countedTo))
              const measures = found.filter(({ countedTo }) => countedTo === first)
              const ids = measures.map(({ id }) => id)
              const counter = begin()
              let last = first
              let ended = false
              for (let size = limit; size > 0 && !ended;) {
                const next = yield* identityTables.nextPersons(last, size)
                if (next === null) {
                  ended = true
                } else {
                  const keys = next.rows.map(({ key }) => key)
                  const crowded: Crowded = new Map()
                  const facts = yield* factTables.facts(
                    ids.map((measure) => ({ measure, keys })),
                    crowded,
                  )
                  const counted = { from: last, to: next.last }
                  const portion = counter.take({ settings: held, measures, counted, identities: next.rows, facts })
                  const known = new Set(keys)
                  yield* identityTables.write(portion.identities, (key) => known.has(key))
                  yield* writeFacts(ids, portion.facts, crowded)
                  last = next.last
                  size = portion.nextLimit
                }
              }
              for (const [m, cells] of counter.cells().entries()) yield* cellTables.write(ids[m]!, cells, null)
              yield* ended ? countingTables.end(ids) : countingTables.moveTo(ids, last)
              return ended && measures.length === found.length
            }),
          )
          .pipe(Effect.retry({ while: isConflict, times: CONFLICT_RETRIES_MAX }))

      const made = Effect.map(
        sql<{ readonly made: string }>`SELECT made_at::text AS made FROM settings`,
        (rows) => rows[0]?.made ?? null,
      )

      const wipe = (next: Settings, expected: string | null) =>
        sql.withTransaction(
          Effect.gen(function* () {
            // Of two at once the later one looks when the earlier one is through.
            yield* sql`LOCK TABLE settings IN ACCESS EXCLUSIVE MODE`
            yield* checkSchema(sql)
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
          sql<{ readonly whole: boolean }>`SELECT ${sql.literal(WHOLE)} AS whole`,
          ([row]) => row!.whole,
        ).pipe(explained("read the state of the read model")),
        made: made.pipe(explained("read when the read model was made")),
        markWhole: (made) =>
          Effect.asVoid(
            sql`UPDATE settings SET whole = true WHERE made_at::text = ${made} AND ${sql.literal(SAME_SCHEMA)}`,
          ).pipe(explained("mark the read model as whole")),
        controlEnd: Effect.map(
          sql<{ readonly control_end: LogEnd | null }>`SELECT control_end FROM settings`,
          ([row]) => row?.control_end ?? null,
        ).pipe(explained("read where the control facts ended")),
        noteControlEnd: (end, made) =>
          measureTables.noteControlEnd(end, made).pipe(Effect.asVoid, explained("note where the control facts end")),
        measures: measureTables.measures.pipe(explained("read the metrics of the read model")),
        checkpoint: (group, partition) =>
          checkpointTables.checkpoint(group, partition).pipe(explained("read a checkpoint")),
        claim: (group, partition, owner) =>
          checkpointTables.claim(group, partition, owner).pipe(explained("claim a partition")),
        dedupeEntries: (partition, from) =>
          dedupeTables.dedupeEntries(partition, from).pipe(explained("read the dedupe index")),
        duplicates: (partition, after) =>
          dedupeTables.duplicates(partition, after).pipe(explained("read the duplicates")),
        keysOf: (place, distinctIds) =>
          keysOf(place, distinctIds).pipe(
            Effect.retry({ while: isConflict, times: CONFLICT_RETRIES_MAX }),
            explained("give distinct ids their keys"),
          ),
        commit: (step, settle) =>
          commit(step, settle).pipe(explained("commit a step of the projection"), measuringCommit),
        countNext: (group, limit, begin) => countNext(group, limit, begin).pipe(explained("count persons")),
        register: (definitions, liveSince) =>
          measureTables.register(definitions, liveSince).pipe(explained("register metrics")),
        rebuild: (measures, made, days) =>
          measureTables.rebuild(measures, made, days).pipe(explained("register a rebuild")),
        adopt: (group) => measureTables.adopt(group).pipe(explained("take over what was built")),
        makeLive: (measures, made, end) =>
          measureTables.makeLive(measures, made, end).pipe(explained("make metrics live")),
        relabel: (measure, definition, made) =>
          measureTables.relabel(measure, definition, made).pipe(explained("note another version of a metric")),
        drop: (builds, made) => measureTables.drop(builds, made).pipe(explained("drop versions of metrics")),
        sweep: (limit) => measureTables.sweep(limit).pipe(explained("delete what dropped versions left")),
        wipe: (next, made) => wipe(next, made).pipe(explained("empty the read model")),
      })
    }),
  ).pipe(Layer.provide(layerMigrations))
