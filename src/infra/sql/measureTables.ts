import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import { LIVE_GROUP, type LogEnd, type Build } from "../../domain/projection/ReadModel.ts"
import { type DayRange, formatDay } from "../../domain/time/calendar.ts"
import { makeCheckpointTables } from "./checkpointTables.ts"
import { makeCountingTables } from "./countingTables.ts"
import { checkSchema } from "./migrations.ts"

/** Columns of `measures` as `Build` names them. */
export const MEASURE_COLUMNS = `id, definition, build, state, projector_group AS "group",
  (extract(epoch FROM live_since) * 1000)::float8 AS "liveSince",
  CASE WHEN days_from IS NOT NULL THEN json_build_object(
    'from', days_from - DATE '1970-01-01', 'to', days_to - DATE '1970-01-01') END AS days`

/** Changes of the set of measures wait for each other, and for claims; claims wait for them. */
export const lockMeasures = (sql: SqlClient.SqlClient) => sql`LOCK TABLE measures IN SHARE ROW EXCLUSIVE MODE`

/** Versions of metrics and their builds: what there is, what is being built, what is live, and what is given up. */
export const makeMeasureTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { newLiveEpochs } = yield* makeCheckpointTables
  const counting = yield* makeCountingTables

  const measures = Effect.map(
    sql<Build>`
      SELECT ${sql.literal(MEASURE_COLUMNS)} FROM measures WHERE state <> 'dropped' ORDER BY id`,
    (rows): ReadonlyArray<Build> => rows.map((row) => ({ ...row })),
  )

  /** After whatever began to answer before, also where clocks went back. */
  const NOW = sql`greatest(clock_timestamp(), (SELECT max(live_since) + interval '1 millisecond' FROM measures))`

  /** Whoever changes the set of measures: of two at once the later one looks when the earlier one is through. */
  const changing = <A, E, R>(change: Effect.Effect<A, E, R>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* checkSchema(sql)
        yield* lockMeasures(sql)
        // Before rows of checkpoints are held that a step waits for which a count waits for.
        yield* counting.lockForChange
        return yield* change
      }),
    )

  /** The same for builds known by their numbers, which are those of others once the tables were emptied. */
  const changingMade = <E, R>(made: string, change: Effect.Effect<void, E, R>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        // First, so that it waits for whoever empties the tables, or they for it, before either holds anything else.
        const found = yield* sql`SELECT 1 FROM settings WHERE made_at::text = ${made}`
        if (found.length > 0) yield* changing(change)
      }),
    )

  /** Of two at once the later fact stays noted. */
  const noteControlEnd = (end: LogEnd, made: string) => sql`
    UPDATE settings SET control_end = ${JSON.stringify(end)}::json WHERE made_at::text = ${made}
      AND coalesce((control_end #>> '{position,sequence}')::bigint, 0) < ${end.position.sequence}`

  /** Adds builds, which count nobody yet; the group they are in is named after the first. */
  const insert = Effect.fnUntraced(function* (
    news: ReadonlyArray<{
      readonly definition: MetricDefinition
      readonly build: number
      readonly liveSince: number | null
    }>,
    days: DayRange | null = null,
  ) {
    // Whoever works for the default group claims anew, to follow what is being built or to have it at once. First
    // of all, since it waits for steps that are being committed, and the first of them decides what `begun` is.
    yield* newLiveEpochs
    const [found] = yield* sql<{ readonly begun: boolean; readonly next: number }>`
      SELECT EXISTS (SELECT FROM checkpoints WHERE sequence IS NOT NULL) AS begun,
        (SELECT coalesce(max(id), 0) + 1 FROM measures) AS next`
    const { begun, next } = found!
    for (const { definition, build, liveSince } of news) {
      yield* sql`INSERT INTO measures ${sql.insert({
        metric: definition.name,
        version: definition.version,
        build,
        state: begun ? "building" : liveSince === null ? "ready" : "detached",
        projector_group: begun ? `build-${next}` : LIVE_GROUP,
        definition: JSON.stringify(definition),
        days_from: days === null ? null : formatDay(days.from),
        days_to: days === null ? null : formatDay(days.to),
        live_since: begun || liveSince === null ? null : new Date(liveSince).toISOString(),
      })}`
    }
    if (!begun) {
      yield* sql`UPDATE measures SET state = 'live', live_since = coalesce(live_since, clock_timestamp()) WHERE id IN (
        SELECT min(id) FROM measures WHERE state <> 'dropped' GROUP BY metric HAVING bool_and(state <> 'live'))`
    }
    yield* counting.begin(next)
  })

  /** A group that builds nothing any more is no more. */
  const endGroups = Effect.andThen(
    counting.forgetDropped,
    sql`DELETE FROM checkpoints WHERE projector_group <> ${LIVE_GROUP} AND projector_group NOT IN (
      SELECT projector_group FROM measures WHERE state = 'building')`,
  )

  const register = (
    definitions: ReadonlyArray<MetricDefinition>,
    liveSince: (definition: MetricDefinition) => number | null = () => null,
  ) =>
    changing(
      Effect.gen(function* () {
        const known = yield* sql<{ readonly metric: string; readonly version: number }>`
          SELECT metric, version FROM measures WHERE state <> 'dropped'`
        const news = definitions.filter(({ name, version }) =>
          known.every((row) => row.metric !== name || row.version !== version),
        )
        if (news.length === 0) return yield* measures
        const builds = yield* nextBuilds
        yield* insert(
          news.map((definition) => ({
            definition,
            build: builds(definition.name, definition.version),
            liveSince: liveSince(definition),
          })),
        )
        return yield* measures
      }),
    )

  const rebuild = (ids: ReadonlyArray<number>, made: string, days: DayRange | null = null) =>
    changingMade(
      made,
      Effect.gen(function* () {
        const news = yield* sql<{ readonly definition: MetricDefinition }>`
          SELECT definition FROM measures live WHERE id = ANY(${ids}::int[]) AND state = 'live' AND NOT EXISTS (
            SELECT FROM measures other WHERE other.metric = live.metric AND other.version = live.version
              AND other.state IN ('building', 'ready'))
            AND EXISTS (SELECT FROM checkpoints WHERE sequence IS NOT NULL) ORDER BY id`
        if (news.length === 0) return
        const builds = yield* nextBuilds
        const next = news.map(({ definition }) => ({
          definition,
          build: builds(definition.name, definition.version),
          liveSince: null,
        }))
        yield* insert(next, days)
      }),
    )

  /** The number that the next build of a version has, dropped ones included until they are swept. */
  const nextBuilds = Effect.map(
    sql<{ readonly metric: string; readonly version: number; readonly last: number }>`
      SELECT metric, version, max(build) AS last FROM measures GROUP BY metric, version`,
    (rows) =>
      (name: string, version: number): number =>
        (rows.find((row) => row.metric === name && row.version === version)?.last ?? 0) + 1,
  )

  /**
   * Of what was built for some days only, the cells of the others are those of the build before it, which stands at the same
   * place. One that is no more takes the new one with it.
   */
  const takeOtherDays = Effect.fnUntraced(function* (group: string) {
    const partial = yield* sql<{ readonly id: number; readonly before: number | null }>`
      SELECT id, (SELECT id FROM measures before WHERE before.metric = built.metric
          AND before.version = built.version AND before.state IN ('live', 'detached')
        ORDER BY before.state = 'live' DESC, id DESC LIMIT 1) AS before
      FROM measures built WHERE projector_group = ${group} AND state = 'building' AND days_from IS NOT NULL`
    for (const { id, before } of partial) {
      yield* before === null
        ? sql`UPDATE measures SET state = 'dropped' WHERE id = ${id}`
        : sql`INSERT INTO cells (measure, day, stat, item, amount, last_cause)
            SELECT ${id}::int, c.day, c.stat, c.item, c.amount, c.last_cause FROM cells c JOIN measures m ON m.id = ${id}
            WHERE c.measure = ${before} AND c.day NOT BETWEEN m.days_from AND m.days_to`
    }
  })

  const adopt = (group: string) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* lockMeasures(sql)
        // The default group stands still until this is through.
        yield* sql`SELECT epoch FROM checkpoints WHERE projector_group = ${LIVE_GROUP} ORDER BY partition FOR UPDATE`
        const behind = yield* sql`
        SELECT live.partition FROM checkpoints live LEFT JOIN checkpoints build
          ON build.projector_group = ${group} AND build.partition = live.partition
        WHERE live.projector_group = ${LIVE_GROUP} AND live.sequence IS NOT NULL
          AND (build.incarnation, build.sequence, build.batch_id)
            IS DISTINCT FROM (live.incarnation, live.sequence, live.batch_id)`
        if (behind.length > 0) return false
        if ((yield* counting.uncounted(group)).length > 0) return false
        yield* takeOtherDays(group)
        yield* sql`
          UPDATE measures built SET projector_group = ${LIVE_GROUP},
            state = CASE WHEN found.answers THEN 'live' ELSE 'ready' END,
            live_since = CASE WHEN found.answers THEN ${NOW} END
          FROM (SELECT b.id, NOT EXISTS (SELECT FROM measures other WHERE other.metric = b.metric
              AND (other.state = 'live' OR other.state <> 'dropped' AND other.id < b.id)) AS answers
            FROM measures b WHERE b.projector_group = ${group} AND b.state = 'building') AS found
          WHERE built.id = found.id`
        yield* sql`DELETE FROM checkpoints WHERE projector_group = ${group}`
        yield* newLiveEpochs
        return true
      }),
    )

  const makeLive = (ids: ReadonlyArray<number>, made: string, end: LogEnd | null = null) =>
    sql.withTransaction(
      Effect.gen(function* () {
        // First, for the same reason as in `changingMade`.
        if (end !== null) yield* noteControlEnd(end, made)
        yield* switchTo(ids, made)
      }),
    )

  const switchTo = (ids: ReadonlyArray<number>, made: string) =>
    changingMade(
      made,
      Effect.gen(function* () {
        const due = yield* sql<{ readonly id: number; readonly metric: string }>`
          SELECT id, metric FROM measures WHERE id = ANY(${ids}::int[]) AND state IN ('ready', 'detached')`
        if (due.length === 0) return
        const metrics = due.map(({ metric }) => metric)
        yield* sql`UPDATE measures SET state = 'detached' WHERE state = 'live' AND metric = ANY(${metrics}::text[])`
        yield* sql`UPDATE measures SET state = 'live', live_since = ${NOW}
          WHERE id = ANY(${due.map(({ id }) => id)}::int[])`
        yield* newLiveEpochs
      }),
    )

  const relabel = (id: number, definition: MetricDefinition, made: string) =>
    changingMade(
      made,
      Effect.gen(function* () {
        const { name, version } = definition
        const build = (yield* nextBuilds)(name, version)
        yield* sql`UPDATE measures SET version = ${version}, build = ${build}, definition = ${JSON.stringify(definition)}::json
          WHERE id = ${id} AND state <> 'dropped' AND metric = ${name} AND version <> ${version}`
      }),
    )

  const drop = (builds: ReadonlyArray<Pick<Build, "id" | "state">>, made: string) =>
    changingMade(
      made,
      Effect.gen(function* () {
        const ids = builds.map(({ id }) => id)
        const live = builds.flatMap(({ id, state }) => (state === "live" ? [id] : []))
        const dropped = yield* sql`
          UPDATE measures SET state = 'dropped' WHERE id = ANY(${ids}::int[]) AND state <> 'dropped'
            AND (state <> 'live' OR id = ANY(${live}::int[])) RETURNING id`
        if (dropped.length === 0) return
        yield* endGroups
        yield* newLiveEpochs
      }),
    )

  /** A slice at a time, since the facts of everybody are many rows; the measure itself goes last. */
  const sweep = (limit: number) =>
    sql.withTransaction(
      Effect.gen(function* () {
        const [row] = yield* sql<{ readonly id: number }>`
          SELECT id FROM measures WHERE state = 'dropped' ORDER BY id LIMIT 1`
        if (row === undefined) return true
        let deleted = 0
        for (const table of ["facts", "cells"]) {
          const rows = yield* sql<{ readonly deleted: number }>`
            WITH gone AS (DELETE FROM ${sql(table)} WHERE ctid = ANY(ARRAY(
              SELECT ctid FROM ${sql(table)} WHERE measure = ${row.id} LIMIT ${limit - deleted})) RETURNING 1)
            SELECT count(*)::int AS deleted FROM gone`
          deleted += rows[0]!.deleted
        }
        if (deleted < limit) yield* sql`DELETE FROM measures WHERE id = ${row.id}`
        return false
      }),
    )

  return { measures, register, rebuild, adopt, makeLive, noteControlEnd, relabel, drop, sweep }
})
