import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { type ReceivedReport, type WorkerReport, WorkerReports } from "../../domain/projection/WorkerReports.ts"
import { explained } from "./explained.ts"
import { layerServerTables } from "./serverTables.ts"
import { fromStorable, toStorable } from "./storableText.ts"

/** Reports older than this are of workers long gone. */
const KEPT = "1 day"

/** What workers say of themselves, in a table that psql and dashboards can read too. */
export const layerSqlWorkerReports: Layer.Layer<WorkerReports, ReadModelUnavailable, SqlClient.SqlClient> =
  Layer.effect(
    WorkerReports,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const publish = (owner: string, reports: ReadonlyArray<WorkerReport>) =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`
              DELETE FROM worker_reports WHERE owner = ${owner} OR reported_at < now() - ${KEPT}::interval`
            if (reports.length === 0) return
            yield* sql`
              INSERT INTO worker_reports (owner, projector_group, partition, phase, events_per_second, trouble, trouble_since)
              SELECT ${owner}::text, projector_group, partition, phase, events_per_second, trouble, to_timestamp(since / 1000)
              FROM unnest(
                ${reports.map(({ group }) => group)}::text[], ${reports.map(({ partition }) => partition)}::int[],
                ${reports.map(({ phase }) => phase)}::text[],
                ${reports.map(({ eventsPerSecond }) => eventsPerSecond)}::double precision[],
                ${reports.map(({ trouble }) => (trouble === null ? null : toStorable(trouble.sentence)))}::text[],
                ${reports.map(({ trouble }) => trouble?.since ?? null)}::double precision[])
                AS row(projector_group, partition, phase, events_per_second, trouble, since)`
          }),
        )

      const all = Effect.map(
        sql<ReportRow>`
          SELECT owner, projector_group, partition, phase, events_per_second, trouble,
            (extract(epoch FROM trouble_since) * 1000)::double precision AS since,
            extract(epoch FROM now() - reported_at)::double precision AS age
          FROM worker_reports ORDER BY projector_group, partition, reported_at DESC`,
        (rows) =>
          rows.map((row): ReceivedReport => ({
            owner: row.owner,
            group: row.projector_group,
            partition: row.partition,
            phase: row.phase,
            eventsPerSecond: row.events_per_second,
            trouble:
              row.trouble === null || row.since === null
                ? null
                : { sentence: fromStorable(row.trouble), since: Math.round(row.since) },
            ageSeconds: Math.max(0, row.age),
          })),
      )

      return WorkerReports.of({
        publish: (owner, reports) => publish(owner, reports).pipe(explained("publish the worker's report")),
        all: all.pipe(explained("read the workers' reports")),
      })
    }),
  ).pipe(Layer.provide(layerServerTables))

interface ReportRow {
  readonly owner: string
  readonly projector_group: string
  readonly partition: number
  readonly phase: string
  readonly events_per_second: number
  readonly trouble: string | null
  readonly since: number | null
  readonly age: number
}
