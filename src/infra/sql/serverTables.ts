import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"
import { runMigrations } from "./runMigrations.ts"

/**
 * Tables that a project has on servers beside its read model, with migrations of their own: a new layout of the read model
 * drops its tables, which the log fills again, and no log could fill these.
 */
const MIGRATIONS = {
  "0001_create_quarantined_lines": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE quarantined_lines (
      id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
      fingerprint text NOT NULL UNIQUE,
      reason text NOT NULL,
      line text NOT NULL
    )`
  }),
  "0002_create_worker_reports": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE worker_reports (
      owner text NOT NULL,
      projector_group text NOT NULL,
      partition integer NOT NULL,
      phase text NOT NULL,
      events_per_second double precision NOT NULL,
      trouble text,
      trouble_since timestamptz,
      reported_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (owner, projector_group, partition)
    )`
  }),
  "0003_create_project": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE project (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), name text NOT NULL)`
  }),
  // As those of the read model: upgrades of the system's collations break indexes in any other order.
  "0004_order_keys_by_bytes": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`ALTER TABLE quarantined_lines ALTER COLUMN fingerprint TYPE text COLLATE "C"`
    yield* sql`ALTER TABLE worker_reports ALTER COLUMN owner TYPE text COLLATE "C", ALTER COLUMN projector_group TYPE text COLLATE "C"`
  }),
}

/** The tables as a layer to build on. Safe at every start, also of many processes. */
export const layerServerTables: Layer.Layer<never, ReadModelUnavailable, SqlClient.SqlClient> = Layer.effectDiscard(
  runMigrations("make the tables beside the read model", MIGRATIONS, "server_migrations"),
)

/**
 * Takes the schema for a project, for good. One of another project is refused: its numbers are of another log, and whatever
 * puts that right for one project empties the tables of the other.
 */
export const layerSchemaOf = (project: string): Layer.Layer<never, ReadModelUnavailable, SqlClient.SqlClient> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const owner = Effect.map(sql<{ readonly name: string }>`SELECT name FROM project`, ([row]) => row?.name)
      let found = yield* owner
      if (found === undefined) {
        yield* sql`INSERT INTO project (name) VALUES (${project}) ON CONFLICT DO NOTHING`
        found = yield* owner
      }
      if (found === project) return
      const reason = `the schema holds the tables of project ${found}, and this is project ${project}; give each project a schema of its own (TIDEMARK_POSTGRES_SCHEMA)`
      return yield* new ReadModelUnavailable({ attempted: "open the read model", reason, retryable: false })
    }).pipe(explained("see whose tables these are")),
  ).pipe(Layer.provide(layerServerTables))
