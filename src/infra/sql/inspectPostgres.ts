import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"
import type { SqlBigint } from "./rows.ts"

/** What PostgreSQL says of itself and of the schema of a project. */
export interface PostgresReport {
  readonly version: string
  readonly fsync: string
  readonly synchronousCommit: string
  readonly fullPageWrites: string
  /** Whether it is a standby, or set to read only. */
  readonly readOnly: boolean
  readonly connections: number
  readonly connectionsMax: number
  /** Whether a connection is one session: not so behind a pooler that lends it for one transaction. */
  readonly keepsSessions: boolean
  readonly schema: string
  readonly schemaVersion: number
  readonly role: string
  readonly mayCreate: boolean
  /** Tables of the schema that the role may not write or empty, which a rebuild does. */
  readonly notWritable: ReadonlyArray<string>
  /** The server's clock minus this machine's, ms. */
  readonly skewMillis: number
  readonly roundTripMillis: number
}

/** Asks PostgreSQL about itself. */
export const inspectPostgres: Effect.Effect<PostgresReport, ReadModelUnavailable, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<Row>`
      SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS "synchronousCommit",
        current_setting('full_page_writes') AS "fullPageWrites",
        current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery() AS "readOnly",
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        current_setting('max_connections')::int AS "connectionsMax",
        current_schema()::text AS schema, current_user::text AS role,
        (SELECT max(migration_id) FROM migrations) AS "schemaVersion",
        has_schema_privilege(current_schema(), 'CREATE') AS "mayCreate",
        (SELECT coalesce(json_agg(relname ORDER BY relname), '[]') FROM pg_class
          WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
          AND NOT (has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
            AND has_table_privilege(oid, 'DELETE') AND has_table_privilege(oid, 'TRUNCATE'))) AS "notWritable"`
    // A second, small question, so that its way back and forth is short.
    const asked = Date.now()
    const [clock] = yield* sql<{ readonly now: number }>`
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now`
    const answered = Date.now()
    const keepsSessions = yield* Effect.scoped(sql.reserve).pipe(
      Effect.as(true),
      Effect.orElseSucceed(() => false),
    )
    return {
      ...row!,
      connections: Number(row!.connections),
      schemaVersion: Number(row!.schemaVersion),
      keepsSessions,
      skewMillis: clock!.now - (asked + answered) / 2,
      roundTripMillis: answered - asked,
    }
  },
).pipe(explained("ask PostgreSQL about itself"))

type Row = Omit<
  PostgresReport,
  "connections" | "schemaVersion" | "keepsSessions" | "skewMillis" | "roundTripMillis"
> & {
  readonly connections: SqlBigint
  readonly schemaVersion: SqlBigint
}
