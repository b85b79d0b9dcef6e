import { statfsSync } from "node:fs"
import { dirname } from "node:path"
import { PGlite } from "@electric-sql/pglite"
import { Context, Effect, Layer, Option, Semaphore, Stream } from "effect"
import { SqlClient } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"
import { Reactivity } from "effect/reactivity"
import { reasonOf } from "../files.ts"
import { BulkCopy, copyStatement, formatOf } from "../sql/BulkCopy.ts"
import { classifyPostgresError } from "../sql/classifyPostgresError.ts"
import { makePostgresCompiler } from "../sql/postgresCompiler.ts"
import { SharedDatabase } from "../sql/SharedDatabase.ts"
import { StoreUnavailable } from "./errors.ts"
import { makeCluster } from "./makeCluster.ts"

/**
 * Settings of the Postgres inside: small buffers and write-ahead log, because everything shares one process and the
 * operating system's cache does the rest.
 */
const SERVER_SETTINGS = ["shared_buffers=16MB", "wal_buffers=1MB", "min_wal_size=32MB", "max_wal_size=64MB"]

/**
 * Postgres inside this process (PGlite), its files below `directory`, as effect/sql's `SqlClient` and as `BulkCopy`. It
 * has one connection: statements and transactions wait for each other.
 */
export const layerPglite = (directory: string): Layer.Layer<SqlClient.SqlClient | BulkCopy, StoreUnavailable> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const database = yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: () => open(directory),
          catch: (cause) => new StoreUnavailable({ directory, reason: whyNotStarted(directory, cause) }),
        }),
        // A Postgres that could not write its last words recovers from its write-ahead log at the next start.
        (database) => Effect.ignore(Effect.tryPromise(() => database.close())),
      )
      const turn = yield* Semaphore.make(1)
      const connection = makeConnection(database)
      const client = yield* SqlClient.make({
        acquirer: Effect.succeed(connection),
        borrower: (use) => turn.withPermit(use(connection)),
        transactionAcquirer: Effect.as(
          Effect.acquireRelease(turn.take(1), () => turn.release(1)),
          connection,
        ),
        compiler: makePostgresCompiler(),
        driver: "pglite",
        spanAttributes: [["db.system.name", "postgresql"]],
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      })
      return Context.make(SqlClient.SqlClient, client).pipe(
        Context.add(SharedDatabase, false),
        Context.add(BulkCopy, {
          copy: Effect.fnUntraced(function* (table, columns, rows) {
            const copied = copyInto(database, copyStatement(table, columns, "'/dev/blob'", formatOf(rows)), rows)
            const inTransaction = Option.isSome(yield* Effect.serviceOption(client.transactionService))
            yield* inTransaction ? copied : turn.withPermit(copied)
          }),
        }),
      )
    }),
  ).pipe(Layer.provide(Reactivity.layer))

/** One segment of Postgres' write-ahead log. */
const WAL_SEGMENT_BYTES = 16 * 1024 * 1024

/** PGlite does not say why it failed to start, so the likeliest reason is looked for. */
const whyNotStarted = (directory: string, cause: unknown): string => {
  if (freeBytes(dirname(directory)) < WAL_SEGMENT_BYTES) {
    return "no space left on the disk: its read model needs 16 MiB to start. Make room; nothing is lost"
  }
  return `its read model does not start (${reasonOf(cause)}). It holds nothing that the log does not: delete ${directory} and run "tidemark project"`
}

const freeBytes = (directory: string): number => {
  const disk = statfsSync(directory)
  return disk.bavail * disk.bsize
}

const open = async (directory: string): Promise<PGlite> => {
  await makeCluster(directory)
  const database = await PGlite.create({
    dataDir: directory,
    startParams: [...PGlite.defaultStartParams, ...SERVER_SETTINGS.flatMap((setting) => ["-c", setting])],
  })
  await database.exec("CREATE SCHEMA IF NOT EXISTS tidemark; SET search_path TO tidemark; SET timezone TO 'UTC'")
  return database
}

/** PGlite reads what it copies from a file of the name `/dev/blob`. */
const copyInto = (database: PGlite, statement: string, rows: string | Uint8Array<ArrayBuffer>) =>
  Effect.asVoid(
    Effect.tryPromise({
      try: () => database.query(statement, [], { blob: new Blob([rows]) }),
      catch: (cause) => classifyPostgresError(cause),
    }),
  )

const makeConnection = (database: PGlite): Connection => {
  const query = (sql: string, params: ReadonlyArray<unknown>, rowMode: "object" | "array") =>
    Effect.tryPromise({
      try: () => database.query(sql, [...params], { rowMode }),
      catch: (cause) => classifyPostgresError(cause),
    })
  const rows = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(query(sql, params, "object"), (result) => result.rows as ReadonlyArray<Record<string, unknown>>)
  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(query(sql, params, "array"), (result) => result.rows as ReadonlyArray<ReadonlyArray<unknown>>)
  return {
    execute: (sql, params, transform) =>
      Effect.map(rows(sql, params), (found) => (transform === undefined ? found : transform(found))),
    executeRaw: (sql, params) => query(sql, params, "object"),
    executeValues: values,
    executeValuesUnprepared: values,
    executeUnprepared: (sql, params, transform) =>
      Effect.map(rows(sql, params), (found) => (transform === undefined ? found : transform(found))),
    // PGlite hands over a result whole; nothing here reads results too large to hold.
    executeStream: (sql, params, transform) =>
      Stream.unwrap(
        Effect.map(rows(sql, params), (found) =>
          Stream.fromIterable(transform === undefined ? found : transform(found)),
        ),
      ),
  }
}
