import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"
import { runMigrations } from "./runMigrations.ts"

/**
 * Drops the tables and views of an earlier layout. They hold nothing that the log does not, and the next projection makes
 * them anew from it.
 */
const dropTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP VIEW IF EXISTS sessions_daily, funnel_steps, feature_adoption, daily_event_counts, daily_active_users, live_cells`
  yield* sql`DROP SEQUENCE IF EXISTS epochs, distinct_id_keys`
  yield* sql`DROP TABLE IF EXISTS settings, measures, checkpoints, distinct_ids, aliases, facts, cells, dedupe, duplicates, quarantine, pauses, stops, attempts, counting`
})

/**
 * Tables and views of the read model; documented for their readers in docs/reference/tables.md. Keys are ordered by their bytes,
 * which is fast, and outlives upgrades of the system's collations: these leave indexes in any other order broken.
 */
const createTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE settings (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), settings json NOT NULL, whole boolean NOT NULL DEFAULT false, control_end json, made_at timestamptz NOT NULL DEFAULT clock_timestamp())`
  yield* sql`CREATE TABLE measures (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    metric text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    build integer NOT NULL,
    state text NOT NULL,
    projector_group text COLLATE "C" NOT NULL,
    definition json NOT NULL,
    live_since timestamptz,
    days_from date,
    days_to date,
    UNIQUE (metric, version, build)
  )`
  yield* sql`CREATE TABLE checkpoints (
    projector_group text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    incarnation text,
    sequence bigint,
    batch_id text,
    chain json,
    log_time bigint,
    projected bigint,
    duplicates bigint,
    conflicts bigint,
    personless bigint,
    committed_at timestamptz,
    PRIMARY KEY (projector_group, partition)
  )`
  // Epochs are never given twice, also not to rows that are made anew.
  yield* sql`CREATE SEQUENCE epochs`
  yield* sql`CREATE SEQUENCE distinct_id_keys AS integer`
  yield* sql`CREATE TABLE distinct_ids (
    key integer PRIMARY KEY,
    distinct_id text COLLATE "C" NOT NULL,
    older boolean NOT NULL,
    person integer NOT NULL,
    link_time bigint,
    link_user text,
    UNIQUE (distinct_id, older)
  )`
  yield* sql`CREATE INDEX distinct_ids_person ON distinct_ids (person)`
  yield* sql`CREATE TABLE aliases (
    first_user text COLLATE "C" NOT NULL,
    second_user text COLLATE "C" NOT NULL,
    time bigint NOT NULL,
    joined boolean NOT NULL,
    PRIMARY KEY (first_user, second_user)
  )`
  yield* sql`CREATE INDEX aliases_second_user ON aliases (second_user)`
  yield* sql`CREATE TABLE facts (
    measure integer NOT NULL,
    block integer NOT NULL,
    held integer NOT NULL,
    fragment bytea NOT NULL
  )`
  // What is too long for its row is of one identity: moments, which compress badly.
  yield* sql`ALTER TABLE facts ALTER COLUMN fragment SET STORAGE EXTERNAL`
  yield* sql`CREATE INDEX facts_of ON facts (measure, block)`
  // While a measure is first folded its facts are gathered, and nobody is counted; with no row here, everybody is.
  yield* sql`CREATE TABLE counting (
    measure integer PRIMARY KEY,
    counted_to integer NOT NULL
  )`
  yield* sql`CREATE TABLE cells (
    measure integer NOT NULL,
    day date NOT NULL,
    stat text COLLATE "C" NOT NULL,
    item text COLLATE "C" NOT NULL,
    amount numeric NOT NULL,
    revised_at timestamptz,
    last_cause text NOT NULL,
    PRIMARY KEY (measure, stat, day, item)
  )`
  yield* sql`CREATE TABLE dedupe (
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    logged_at bigint NOT NULL,
    fingerprints bytea NOT NULL,
    PRIMARY KEY (partition, sequence)
  )`
  yield* sql`CREATE TABLE duplicates (
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    places text NOT NULL,
    PRIMARY KEY (partition, sequence)
  )`
  yield* sql`CREATE TABLE quarantine (
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    place integer NOT NULL,
    metric text COLLATE "C" NOT NULL,
    cause text NOT NULL,
    PRIMARY KEY (partition, sequence, place, metric)
  )`
  // What operators and workers tell each other; a wipe leaves it as it is.
  yield* sql`CREATE TABLE pauses (
    projector_group text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    cause text COLLATE "C" NOT NULL,
    sentence text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projector_group, partition, cause)
  )`
  yield* sql`CREATE TABLE stops (
    projector_group text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    owner text NOT NULL,
    sentence text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projector_group, partition)
  )`
  yield* sql`CREATE TABLE attempts (
    projector_group text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    count integer NOT NULL,
    deaths integer NOT NULL DEFAULT 0,
    sequence bigint,
    first_place integer,
    last_place integer,
    PRIMARY KEY (projector_group, partition)
  )`
  yield* sql`CREATE VIEW live_cells AS
    SELECT m.metric, m.version, m.definition, c.day, c.stat, c.item, c.amount, c.revised_at,
      CASE WHEN c.revised_at IS NULL THEN NULL ELSE c.last_cause END AS revision_cause
    FROM cells c JOIN measures m ON m.id = c.measure WHERE m.state = 'live'`
  // By the statistics that they show: cells are kept in the order of these, and most are of others.
  yield* sql`CREATE VIEW daily_active_users AS
    SELECT day, coalesce(sum(amount) FILTER (WHERE stat = 'users'), 0)::bigint AS users,
      coalesce(sum(amount) FILTER (WHERE stat = 'events'), 0)::bigint AS events
    FROM live_cells WHERE metric = 'active_users' AND stat IN ('users', 'events') GROUP BY day`
  yield* sql`CREATE VIEW daily_event_counts AS
    SELECT day, item AS event, coalesce(sum(amount) FILTER (WHERE stat = 'users'), 0)::bigint AS users,
      coalesce(sum(amount) FILTER (WHERE stat = 'events'), 0)::bigint AS events
    FROM live_cells WHERE metric = 'active_users_by_event' AND stat IN ('users', 'events') GROUP BY day, item`
  yield* sql`CREATE VIEW feature_adoption AS
    SELECT day, item AS feature, coalesce(sum(amount) FILTER (WHERE stat = 'users'), 0)::bigint AS users,
      coalesce(sum(amount) FILTER (WHERE stat = 'events'), 0)::bigint AS uses
    FROM live_cells WHERE metric = 'feature_adoption' AND stat IN ('users', 'events') GROUP BY day, item`
  yield* sql`CREATE VIEW funnel_steps AS
    SELECT metric AS funnel, version, day AS entry_day, item::integer AS step,
      coalesce(sum(amount) FILTER (WHERE stat = 'users'), 0)::bigint AS users,
      coalesce(sum(amount) FILTER (WHERE stat = 'from_previous_ms'), 0)::bigint AS from_previous_ms
    FROM live_cells WHERE definition #>> '{formula,kind}' = 'funnel' AND stat IN ('users', 'from_previous_ms')
    GROUP BY metric, version, day, item`
  yield* sql`CREATE VIEW sessions_daily AS
    SELECT day, coalesce(sum(amount) FILTER (WHERE stat = 'sessions'), 0)::bigint AS sessions,
      coalesce(sum(amount) FILTER (WHERE stat = 'persons'), 0)::bigint AS persons,
      coalesce(sum(amount) FILTER (WHERE stat = 'events'), 0)::bigint AS events,
      coalesce(sum(amount) FILTER (WHERE stat = 'bounces'), 0)::bigint AS bounces,
      coalesce(sum(amount) FILTER (WHERE stat = 'duration_ms'), 0)::bigint AS duration_ms
    FROM live_cells WHERE metric = 'sessions' AND item = ''
      AND stat IN ('sessions', 'persons', 'events', 'bounces', 'duration_ms')
    GROUP BY day`
})

/** Earlier layouts, and cells of earlier measures, are gone: nobody needs to make it only to drop it. */
const MIGRATIONS = { "0008_create_tables": Effect.andThen(dropTables, createTables) }

/** The newest schema version that this code knows. */
export const SCHEMA_VERSION = 8

const TABLE = "migrations"

const ATTEMPTED = "bring the read model's schema up to date"

/** For a SELECT: whether the tables are still those of this version; a newer one may have made others meanwhile. */
export const SAME_SCHEMA = `(SELECT max(migration_id) FROM ${TABLE}) = ${SCHEMA_VERSION}`

/** Refuses to write tables that a newer version has made while this one was at work. */
export const checkSchema = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [row] = yield* sql<{ readonly same: boolean }>`SELECT ${sql.literal(SAME_SCHEMA)} AS same`
  if (row!.same) return
  return yield* new ReadModelUnavailable({
    attempted: "write to the read model",
    reason: "another version of Tidemark has changed its schema meanwhile; start this process anew, of that version",
    retryable: false,
    superseded: true,
  })
})

/** Brings the schema up to date; refuses one that a newer version made. Safe at every start, also of many processes. */
export const migrate = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* runMigrations(ATTEMPTED, MIGRATIONS, TABLE)
  const [newest] = yield* sql<{ readonly id: number }>`SELECT max(migration_id) AS id FROM ${sql(TABLE)}`
  if (Number(newest?.id) > SCHEMA_VERSION) {
    return yield* new ReadModelUnavailable({
      attempted: "open the read model",
      reason: `its schema has version ${newest?.id} and this version of Tidemark knows up to ${SCHEMA_VERSION}; upgrade Tidemark`,
      retryable: false,
    })
  }
}).pipe(explained(ATTEMPTED))

/** The schema as a layer to build on. */
export const layerMigrations = Layer.effectDiscard(migrate)
