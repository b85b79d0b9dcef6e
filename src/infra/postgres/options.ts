import { Duration, Effect, Redacted } from "effect"
import pg from "pg"
import { PostgresUnavailable } from "./errors.ts"

/** Where a PostgreSQL server is and how it is used. */
export interface PostgresOptions {
  /**
   * `postgres://role:password@host:port/database`, with the parameters that the driver `pg` knows, such as `sslmode`.
   * What it leaves out comes from `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD` and `PGDATABASE`.
   */
  readonly url: Redacted.Redacted
  /** The schema that holds all tables; made when it isn't there. Default `tidemark`. */
  readonly schema?: string
  /** What metrics call the pool. Default `main`. */
  readonly name?: string
  /** Connections at most. Default 4: one for each partition of a projector that runs several. */
  readonly poolSize?: number
  /** How long a connection may take, whether to be made or to become free. Default 30 seconds. */
  readonly acquireTimeout?: Duration.Input
  /** How long one statement may run. Default 60 seconds. */
  readonly statementTimeout?: Duration.Input
  /** How long one statement may wait for a lock. Default 10 seconds. */
  readonly lockTimeout?: Duration.Input
}

/** Options read, checked and completed. */
export interface PostgresConfig {
  readonly url: Redacted.Redacted
  /** What the address itself says in its parameter `options`. */
  readonly serverOptions: string | null
  /** For people: host, port, database and role. */
  readonly server: string
  readonly role: string
  readonly name: string
  readonly schema: string
  readonly poolSize: number
  readonly acquireTimeout: Duration.Duration
  readonly statementTimeout: Duration.Duration
  readonly lockTimeout: Duration.Duration
}

/** Needs no quotes in SQL, in `options` of a connection or in a shell. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** Reads options; says what is wrong with them without repeating the address, which may hold a password. */
export const readOptions = (options: PostgresOptions): Effect.Effect<PostgresConfig, PostgresUnavailable> =>
  Effect.gen(function* () {
    const schema = options.schema ?? "tidemark"
    if (!SCHEMA_NAME.test(schema)) {
      return yield* unusable(
        `the schema name ${JSON.stringify(schema)} won't do; take small letters, digits and _, at most 63, no digit first`,
      )
    }
    const poolSize = options.poolSize ?? 4
    if (!Number.isSafeInteger(poolSize) || poolSize < 1) {
      return yield* unusable(`a pool of ${poolSize} connections won't do; take a whole number from 1`)
    }
    const address = yield* readAddress(Redacted.value(options.url))
    return {
      ...address,
      name: options.name ?? "main",
      schema,
      poolSize,
      acquireTimeout: Duration.fromInputUnsafe(options.acquireTimeout ?? "30 seconds"),
      statementTimeout: Duration.fromInputUnsafe(options.statementTimeout ?? "60 seconds"),
      lockTimeout: Duration.fromInputUnsafe(options.lockTimeout ?? "10 seconds"),
    }
  })

const readAddress = (address: string) =>
  Effect.gen(function* () {
    const url = URL.parse(address)
    if (url === null || !["postgres:", "postgresql:"].includes(url.protocol)) {
      return yield* unusable(
        "it does not read as postgres://role:password@host:port/database; write special characters of a password in per cent, such as %2F for /",
      )
    }
    // Parameters of the address win over the driver's other options, and these are to be joined with ours.
    const serverOptions = url.searchParams.get("options")
    url.searchParams.delete("options")
    const { host, port, database, user } = yield* Effect.try({
      try: () => new pg.Client(url.href),
      catch: () => unusable("the driver can't read it; see its parameters and the files that they name"),
    })
    return {
      url: Redacted.make(url.href),
      serverOptions,
      server: `${host}:${port} (database ${database ?? "none"}, role ${user ?? "none"})`,
      role: user ?? "none",
    }
  })

const unusable = (reason: string) => new PostgresUnavailable({ server: null, reason, retryable: false })
