import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Latch, Option, type Scope, Stream } from "effect"
import type { PackedBatch } from "../../domain/log/batch.ts"
import { LogDamaged, LogUnavailable, missingRecords } from "../../domain/log/errors.ts"
import {
  damageAt,
  EventLog,
  type LogRecord,
  type PartitionStatus,
  type Place,
  sequenceOf,
} from "../../domain/log/EventLog.ts"
import { PARTITIONS_MAX } from "../../domain/log/partition.ts"
import type { Position } from "../../domain/log/position.ts"
import { compress, decompress } from "../compressed.ts"
import { reasonOf } from "../files.ts"
import { StoreNewer, StoreUnavailable } from "./errors.ts"

/** Name of the log in a store's directory. */
export const LOG_FILE = "log.db"

/** Version of the tables below. */
export const FORMAT = 1

/** Bytes of records read at once: enough to keep a fold busy, little enough to hold. */
const PAGE_BYTES = 4 * 1024 * 1024

/** What opening the log file gives: the port, and the file for what else lives in it. */
export interface SqliteLog {
  readonly log: EventLog["Service"]
  readonly database: DatabaseSync
}

/**
 * The embedded log: one SQLite file in WAL mode. Every append is one transaction, synced to the disk before it returns
 * (`synchronous = FULL`). Records are stored compressed, which is this adapter's business alone: readers see the bytes
 * that were appended.
 */
export const openSqliteLog = (
  directory: string,
  options: { readonly partitions: number },
): Effect.Effect<SqliteLog, StoreUnavailable | StoreNewer, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* Effect.acquireRelease(
      Effect.try({
        try: () => open(join(directory, LOG_FILE), options.partitions),
        catch: (cause) => new StoreUnavailable({ directory, reason: reasonOf(cause) }),
      }),
      (database) => Effect.sync(() => database.close()),
    )
    const format = formatOf(database)
    if (format > FORMAT) return yield* new StoreNewer({ directory, found: format, known: FORMAT })
    return { log: makeLog(database), database }
  })

const open = (path: string, partitions: number): DatabaseSync => {
  if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
    throw new RangeError(`a log has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`)
  }
  const database = new DatabaseSync(path)
  try {
    // A newer store is not touched.
    if (formatOf(database) > FORMAT) return database
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS records (
        partition INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        batch_id TEXT NOT NULL UNIQUE,
        events INTEGER NOT NULL,
        size INTEGER NOT NULL,
        zstd BLOB NOT NULL,
        PRIMARY KEY (partition, sequence)
      );
      CREATE TABLE IF NOT EXISTS quarantine (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fingerprint TEXT NOT NULL UNIQUE,
        reason TEXT NOT NULL,
        line TEXT NOT NULL
      );
    `)
    const insert = database.prepare("INSERT OR IGNORE INTO meta VALUES (?, ?)")
    insert.run("format", String(FORMAT))
    insert.run("incarnation", randomUUID())
    insert.run("partitions", String(partitions))
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** The format of the tables; 0 before they are made. */
const formatOf = (database: DatabaseSync): number => {
  const made = database.prepare("SELECT count(*) AS tables FROM sqlite_master WHERE name = 'meta'").get()!["tables"]
  return made === 0 ? 0 : Number(readMeta(database, "format"))
}

const readMeta = (database: DatabaseSync, key: string): string =>
  String(database.prepare("SELECT value FROM meta WHERE key = ?").get(key)!["value"])

const makeLog = (database: DatabaseSync): EventLog["Service"] => {
  const incarnation = readMeta(database, "incarnation")
  const partitions = Number(readMeta(database, "partitions"))
  const known = database.prepare("SELECT partition, sequence FROM records WHERE batch_id = ?")
  const last = database.prepare("SELECT coalesce(max(sequence), 0) AS sequence FROM records WHERE partition = ?")
  const insert = database.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)")
  const at = database.prepare("SELECT batch_id, zstd FROM records WHERE partition = ? AND sequence = ?")
  const page = database.prepare(
    "SELECT sequence, batch_id, size, zstd FROM records WHERE partition = ? AND sequence > ? AND sequence <= ? ORDER BY sequence",
  )
  const summary = database.prepare(
    "SELECT partition, count(*) AS records, sum(events) AS events, sum(length(zstd)) AS bytes, max(sequence) AS last FROM records GROUP BY partition ORDER BY partition",
  )

  /** Whether there is a hole: this log numbers without any, and removes nothing. Asked often, so it counts only. */
  const hasHole = database.prepare("SELECT 1 FROM records GROUP BY partition HAVING count(*) <> max(sequence) LIMIT 1")
  /** The first hole. */
  const hole = database.prepare(`
    SELECT partition, sequence, before FROM (
      SELECT partition, sequence, lag(sequence, 1, 0) OVER (PARTITION BY partition ORDER BY sequence) AS before FROM records
    ) WHERE sequence <> before + 1 ORDER BY partition, sequence LIMIT 1`)
  /** Opens at the next append, and is then replaced. */
  let appended = Latch.makeUnsafe()

  const lastSequence = (partition: number): number => Number(last.get(partition)!["sequence"])

  const appendAll = (batches: ReadonlyArray<PackedBatch>): ReadonlyArray<Position> => {
    // Compressed before the transaction begins, so that the file is locked only to write.
    const rows = batches.map((batch) => ({ batch, zstd: compress(batch.bytes) }))
    database.exec("BEGIN IMMEDIATE")
    try {
      const positions = rows.map(({ batch, zstd }) => {
        const held = known.get(batch.id)
        const partition = batch.origin.partition
        const sequence = held === undefined ? lastSequence(partition) + 1 : Number(held["sequence"])
        if (held === undefined) insert.run(partition, sequence, batch.id, batch.count, batch.bytes.length, zstd)
        return { incarnation, partition, sequence, batchId: batch.id }
      })
      database.exec("COMMIT")
      appended.openUnsafe()
      appended = Latch.makeUnsafe()
      return positions
    } catch (cause) {
      // A full disk may have rolled back already, and then there is nothing left to roll back.
      if (database.isTransaction) database.exec("ROLLBACK")
      throw cause
    }
  }

  const record = (partition: number, row: Record<string, unknown>, sequence: number): LogRecord => ({
    position: { incarnation, partition, sequence, batchId: String(row["batch_id"]) },
    bytes: decompress(row["zstd"] as Uint8Array),
  })

  const readPage = (partition: number, after: number, end: number): ReadonlyArray<LogRecord> => {
    const records: Array<LogRecord> = []
    let size = 0
    for (const row of page.iterate(partition, after, end)) {
      records.push(record(partition, row, Number(row["sequence"])))
      size += Number(row["size"])
      if (size >= PAGE_BYTES) break
    }
    return records
  }

  /** Pages from a place on; at the end of the log it waits for the next append. */
  const followPage = (partition: number, from: number) =>
    Effect.gen(function* () {
      for (;;) {
        const next = appended
        const records = yield* attempt("read the log", () => readPage(partition, from, Number.MAX_SAFE_INTEGER))
        if (records.length > 0) return records
        yield* next.await
      }
    })

  const recordAt = (partition: number, sequence: number) =>
    attempt("read the log", () => {
      const row = at.get(partition, sequence)
      return row === undefined ? null : record(partition, row, sequence)
    })

  const proveAt = Effect.fnUntraced(function* (partition: number, place: Place) {
    if (typeof place === "number") return
    const damage = damageAt(place, yield* recordAt(partition, sequenceOf(place)))
    if (damage !== null) return yield* damage
  })

  const prove = Effect.gen(function* () {
    const row = yield* attempt("read the log", () => (hasHole.get() === undefined ? undefined : hole.get()))
    if (row === undefined) return
    const partition = Number(row["partition"])
    const first = Number(row["before"]) + 1
    const last = Number(row["sequence"]) - 1
    return yield* new LogDamaged({ partition, sequence: first, problem: missingRecords(first, last) })
  })

  return EventLog.of({
    incarnation,
    partitions,
    writers: "one",
    append: (batches) => attempt("append to the log", () => appendAll(batches)),
    read: (partition, after) =>
      Stream.unwrap(
        Effect.map(
          Effect.andThen(
            proveAt(partition, after),
            attempt("read the log", () => lastSequence(partition)),
          ),
          (end) =>
            Stream.paginate(sequenceOf(after), (from) =>
              Effect.map(
                attempt("read the log", () => readPage(partition, from, end)),
                (records) => {
                  const next = records[records.length - 1]?.position.sequence
                  return [records, next === undefined ? Option.none() : Option.some(next)] as const
                },
              ),
            ),
        ),
      ),
    follow: (partition, after) =>
      Stream.unwrap(
        Effect.as(
          proveAt(partition, after),
          Stream.paginate(sequenceOf(after), (from) =>
            Effect.map(
              followPage(partition, from),
              (records) => [records, Option.some(records[records.length - 1]!.position.sequence)] as const,
            ),
          ),
        ),
      ),
    prove,
    begins: () => Effect.succeed(1),
    acceptEnd: Effect.void,
    at: recordAt,
    status: attempt("read the log", () =>
      summary.all().map((row): PartitionStatus => {
        const partition = Number(row["partition"])
        const sequence = Number(row["last"])
        return {
          partition,
          records: Number(row["records"]),
          events: Number(row["events"]),
          bytes: Number(row["bytes"]),
          last: {
            incarnation,
            partition,
            sequence,
            batchId: String(at.get(partition, sequence)!["batch_id"]),
          },
        }
      }),
    ),
  })
}

/** Runs a SQLite call; a failure says what was attempted. */
export const attempt = <A>(attempted: string, run: () => A): Effect.Effect<A, LogUnavailable> =>
  Effect.try({
    try: run,
    catch: (cause) => new LogUnavailable({ attempted, reason: reasonOf(cause), retryable: false }),
  })
