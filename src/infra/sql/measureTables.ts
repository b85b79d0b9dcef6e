import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { MetricDefinition } from "../../domain/metric/definition.ts"
import { LIVE_GROUP, type MeasureVersion } from "../../domain/projection/ReadModel.ts"
import { makeCheckpointTables } from "./checkpointTables.ts"
import { makeCountingTables } from "./countingTables.ts"
import { checkSchema } from "./migrations.ts"

/** Versions of metrics: what there is, what is being built, and what goes live. */
export const makeMeasureTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { newLiveEpochs } = yield* makeCheckpointTables
  const counting = yield* makeCountingTables

  const measures = Effect.map(
    sql<MeasureVersion>`
      SELECT id, state, projector_group AS "group", definition FROM measures
      WHERE state IN ('building', 'live') ORDER BY id`,
    (rows): ReadonlyArray<MeasureVersion> => rows.map((row) => ({ ...row })),
  )

  /** Changes of the set of measures wait for each other. */
  const lockMeasures = sql`LOCK TABLE measures IN SHARE ROW EXCLUSIVE MODE`

  const register = (definitions: ReadonlyArray<MetricDefinition>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* checkSchema(sql)
        yield* lockMeasures
        // Before rows of checkpoints are held that a step waits for which a count waits for.
        yield* counting.lockForChange
        const known = yield* sql<{ readonly metric: string; readonly version: number }>`
          SELECT metric, version FROM measures`
        const news = definitions.filter(({ name, version }) =>
          known.every((row) => row.metric !== name || row.version !== version),
        )
        if (news.length === 0) return yield* measures
        // Whoever works for the default group claims anew, to follow what is being built or to have it at once. First
        // of all, since it waits for steps that are being committed, and the first of them decides what `begun` is.
        yield* newLiveEpochs
        const [found] = yield* sql<{ readonly begun: boolean; readonly next: number }>`
          SELECT EXISTS (SELECT FROM checkpoints WHERE sequence IS NOT NULL) AS begun,
            (SELECT coalesce(max(id), 0) + 1 FROM measures) AS next`
        const state = found!.begun ? "building" : "live"
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
        yield* counting.begin(found!.next)
        yield* sql`UPDATE measures old SET state = 'detached' FROM measures new
          WHERE old.state = ${state} AND new.metric = old.metric AND new.version > old.version`
        yield* counting.forgetDetached
        yield* endIdleGroups
        return yield* measures
      }),
    )

  /** A group that builds nothing any more is no more. */
  const endIdleGroups = sql`DELETE FROM checkpoints WHERE projector_group <> ${LIVE_GROUP} AND projector_group NOT IN (
    SELECT projector_group FROM measures WHERE state = 'building')`

  const retire = (versions: ReadonlyArray<Pick<MetricDefinition, "name" | "version">>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* checkSchema(sql)
        yield* lockMeasures
        // In the order in which `register` takes them.
        yield* counting.lockForChange
        const known = yield* measures
        const over = known.filter(({ definition }) =>
          versions.some(({ name, version }) => definition.name === name && definition.version === version),
        )
        if (over.length === 0) return known
        yield* newLiveEpochs
        yield* sql`UPDATE measures SET state = 'detached' WHERE ${sql.in(
          "id",
          over.map(({ id }) => id),
        )}`
        yield* counting.forgetDetached
        yield* endIdleGroups
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
        if ((yield* counting.uncounted(group)).length > 0) return false
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

  return { measures, register, retire, promote }
})
