import type { DatabaseSync } from "node:sqlite"
import type { RejectionReason } from "../../domain/event/admit.ts"
import { fingerprintOfLine, Quarantine, type QuarantinedLine } from "../../domain/log/Quarantine.ts"
import { attempt } from "./SqliteLog.ts"

/** The quarantine in the log's file. Texts are stored as JSON, since SQLite's own text ends at a NUL. */
export const makeSqliteQuarantine = (database: DatabaseSync): Quarantine["Service"] => {
  const insert = database.prepare("INSERT OR IGNORE INTO quarantine VALUES (NULL, ?, ?, ?)")
  const list = database.prepare("SELECT id, line FROM quarantine WHERE id > ? ORDER BY id LIMIT ?")
  const remove = database.prepare("DELETE FROM quarantine WHERE id = ?")
  const counts = database.prepare("SELECT reason, count(*) AS lines FROM quarantine GROUP BY reason ORDER BY reason")

  const inTransaction = (run: () => void): void => {
    database.exec("BEGIN IMMEDIATE")
    try {
      run()
      database.exec("COMMIT")
    } catch (cause) {
      if (database.isTransaction) database.exec("ROLLBACK")
      throw cause
    }
  }

  return Quarantine.of({
    add: (lines) =>
      attempt("add to the quarantine", () =>
        inTransaction(() => {
          for (const line of lines) insert.run(fingerprintOfLine(line), line.reason, JSON.stringify(line))
        }),
      ),
    list: (after, limit) =>
      attempt("read the quarantine", () =>
        list.all(after, limit).map((row) => ({
          id: Number(row["id"]),
          ...(JSON.parse(String(row["line"])) as QuarantinedLine),
        })),
      ),
    remove: (ids) =>
      attempt("remove from the quarantine", () =>
        inTransaction(() => {
          for (const id of ids) remove.run(id)
        }),
      ),
    counts: attempt(
      "read the quarantine",
      () => new Map(counts.all().map((row) => [row["reason"] as RejectionReason, Number(row["lines"])])),
    ),
  })
}
