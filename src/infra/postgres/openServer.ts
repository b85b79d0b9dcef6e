import { Effect, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { PostgresConfig } from "./options.ts"
import { PostgresUnavailable } from "./errors.ts"
import { type Lease, openPool } from "./pool.ts"
import type { PostgresConnection } from "./PostgresConnection.ts"
import { asConnectionOptions, asLocalSettings, sessionSettings } from "./sessionSettings.ts"

/** The oldest server that Tidemark is tested with, as `server_version_num` has it. */
const OLDEST_VERSION = 130_000

/** A server that is fit for use. */
export interface OpenServer {
  readonly lease: Lease
  /**
   * Whether a session keeps its settings. If not, a pooler stands between that lends a server connection for one
   * transaction only, and settings are for every transaction to make.
   */
  readonly keepsSessions: boolean
}

/** Connects, and sees that the server is new enough, that the schema is there, and that the role may use it. */
export const openServer = (config: PostgresConfig): Effect.Effect<OpenServer, PostgresUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const unusable = (reason: string) => new PostgresUnavailable({ server: config.server, reason, retryable: false })
    const settings = sessionSettings(config)
    const theirs = config.serverOptions ?? ""

    const { lease: direct } = yield* openPool(config, {
      options: `${theirs} ${asConnectionOptions(settings)}`.trim(),
      localSettings: null,
    })
    const keepsSessions = yield* using(direct, (connection) =>
      Effect.map(
        connection.execute(
          `SELECT ${Object.keys(settings)
            .map((name, n) => `current_setting('${name}') = set_config('${name}', $${n + 1}, true)`)
            .join(" AND ")} AS kept`,
          Object.values(settings),
          undefined,
        ),
        (rows) => (rows as ReadonlyArray<{ readonly kept: boolean }>)[0]!.kept,
      ),
    ).pipe(Effect.catchIf(refusesOptions, () => Effect.succeed(false)))
    const lease = keepsSessions
      ? direct
      : (yield* openPool(config, { options: theirs, localSettings: asLocalSettings(settings) })).lease

    yield* using(lease, (connection) => checkServer(connection, unusable))
    yield* using(lease, (connection) => ensureSchema(connection, config, unusable))
    return { lease, keepsSessions }
  }).pipe(
    Effect.catchTag("SqlError", ({ reason, isRetryable }) =>
      Effect.fail(
        new PostgresUnavailable({
          server: config.server,
          reason: (reason.message ?? reason._tag).replace(` [${config.server}]`, ""),
          retryable: isRetryable,
        }),
      ),
    ),
  )

const using = <A, E>(lease: Lease, use: (connection: PostgresConnection) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(lease, use))

/** PgBouncer's answer to a startup parameter that it can't keep for its clients. */
const refusesOptions = ({ reason }: SqlError): boolean =>
  reason.message?.includes("unsupported startup parameter") ?? false

/** Why a server of this version can't be used, if so. */
export const tooOld = (versionNumber: number, version: string): string | null =>
  versionNumber < OLDEST_VERSION
    ? `it is PostgreSQL ${version}, and Tidemark needs ${OLDEST_VERSION / 10_000} or newer; upgrade the server`
    : null

type Unusable = (reason: string) => PostgresUnavailable

const checkServer = (connection: PostgresConnection, unusable: Unusable) =>
  Effect.gen(function* () {
    const [row] = yield* connection.execute(
      "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, current_setting('server_encoding') AS encoding",
      [],
      undefined,
    )
    const reason = tooOld(row.number, row.version)
    if (reason !== null) return yield* unusable(reason)
    if (row.encoding !== "UTF8") {
      return yield* unusable(
        `its database has the encoding ${row.encoding}, which can't hold every text; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
      )
    }
  })

const ensureSchema = (connection: PostgresConnection, config: PostgresConfig, unusable: Unusable) =>
  Effect.gen(function* () {
    const { schema, role } = config
    const state = Effect.map(
      connection.execute(
        `SELECT exists(SELECT FROM pg_namespace WHERE nspname = $1) AS there,
           (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1) AS usable,
           has_database_privilege(current_database(), 'CREATE') AS may_create,
           current_setting('transaction_read_only') AS read_only`,
        [schema],
        undefined,
      ),
      (rows) => rows[0] as SchemaState,
    )
    const { there, usable, may_create, read_only } = yield* state
    if (there) {
      // Unknown of one that was made this very moment, by a process like this one.
      if (usable === false) {
        return yield* unusable(
          `role ${role} has no right to use the schema ${schema}; its owner grants it: GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role}`,
        )
      }
      return
    }
    if (read_only === "on") {
      return yield* unusable(
        `it only reads (a standby, or set to), and the schema ${schema} is not there yet; use the server that writes`,
      )
    }
    if (!may_create) {
      return yield* unusable(
        `there is no schema ${schema}, and role ${role} may not create one; an administrator does: CREATE SCHEMA ${schema} AUTHORIZATION ${role}`,
      )
    }
    // Two processes may create it at once; the one that loses finds it there.
    yield* connection
      .execute(`CREATE SCHEMA IF NOT EXISTS ${schema}`, [], undefined)
      .pipe(Effect.catch((error) => Effect.flatMap(state, ({ there }) => (there ? Effect.void : Effect.fail(error)))))
  })

interface SchemaState {
  readonly there: boolean
  readonly usable: boolean | null
  readonly may_create: boolean
  readonly read_only: "on" | "off"
}
