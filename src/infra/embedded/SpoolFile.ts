import { Effect, type Scope } from "effect"
import { LogDamaged, type LogUnavailable, missingRecords } from "../../domain/log/errors.ts"
import type { EventLog, LogRecord } from "../../domain/log/EventLog.ts"
import type { StoreInUse, StoreNewer, StoreUnavailable } from "./errors.ts"
import { attempt, openSqliteLog } from "./SqliteLog.ts"
import { lockStore } from "./StoreLock.ts"

/** All events of a spool are in one partition, so that they stay in their order. */
const PARTITION = 0

/** An embedded log whose records are taken out again at the front, in order. */
export interface SpoolFile {
  /** To append to; `grown` is to be called afterwards. */
  readonly log: EventLog["Service"]
  readonly grown: Effect.Effect<void, LogUnavailable>
  /** Bytes of the records that are still to be taken out. */
  readonly bytes: () => number
  /** The oldest record that was not taken out; `null` when all were. */
  readonly next: Effect.Effect<LogRecord | null, LogUnavailable | LogDamaged>
  /** Notes that the oldest record was taken out. A crash before it has it taken out once more. */
  readonly take: Effect.Effect<void, LogUnavailable>
  /** Forgets all records. Only after the last one was taken out. */
  readonly clear: Effect.Effect<void, LogUnavailable>
}

/** Opens the spool of a directory, for this process alone. */
export const openSpoolFile = (
  directory: string,
): Effect.Effect<SpoolFile, StoreInUse | StoreUnavailable | StoreNewer, Scope.Scope> =>
  Effect.gen(function* () {
    yield* lockStore(directory)
    const { log, database } = yield* openSqliteLog(directory, { partitions: 1 })
    const saved = database.prepare("SELECT value FROM meta WHERE key = 'taken'").get()
    const save = database.prepare("INSERT OR REPLACE INTO meta VALUES ('taken', ?)")
    const size = database.prepare("SELECT length(zstd) AS bytes FROM records WHERE sequence = ?")
    const since = database.prepare(
      "SELECT coalesce(sum(length(zstd)), 0) AS bytes, max(sequence) AS last FROM records WHERE sequence > ?",
    )
    let taken = saved === undefined ? 0 : Number(saved["value"])
    let last = taken
    let bytes = 0
    const grow = () => {
      const row = since.get(last)!
      bytes += Number(row["bytes"])
      last = Number(row["last"] ?? last)
    }
    grow()

    return {
      log,
      grown: attempt("read the spool", grow),
      bytes: () => bytes,
      next: Effect.gen(function* () {
        if (taken >= last) return null
        const sequence = taken + 1
        const record = yield* log.at(PARTITION, sequence)
        if (record !== null) return record
        return yield* new LogDamaged({ partition: PARTITION, sequence, problem: missingRecords(sequence, sequence) })
      }),
      take: attempt("note what was taken out of the spool", () => {
        save.run(String(taken + 1))
        taken++
        bytes -= Number(size.get(taken)?.["bytes"] ?? 0)
      }),
      // Sequences begin at 1 again, so both change together.
      clear: attempt("empty the spool", () => {
        database.exec("BEGIN IMMEDIATE")
        try {
          database.exec("DELETE FROM records; DELETE FROM meta WHERE key = 'taken'; COMMIT")
        } catch (cause) {
          if (database.isTransaction) database.exec("ROLLBACK")
          throw cause
        }
        taken = 0
        last = 0
        bytes = 0
      }),
    }
  })
