import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, type Scope } from "effect"
import { makeDirectory, reasonOf } from "../files.ts"
import { StoreInUse, StoreUnavailable } from "./errors.ts"

/**
 * Makes the store's directory and holds it for this process alone, until the scope closes or the process dies in any
 * way: the lock is SQLite's own on an empty database, which the operating system releases. A lock file with a process
 * id would survive `kill -9`.
 */
export const lockStore = (directory: string): Effect.Effect<void, StoreInUse | StoreUnavailable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        makeDirectory(resolve(directory))
        const lock = new DatabaseSync(join(directory, "lock.db"))
        try {
          lock.exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
        } catch (cause) {
          lock.close()
          throw cause
        }
        writeFileSync(pidFile(directory), String(process.pid))
        return lock
      },
      catch: (cause) =>
        isBusy(cause)
          ? new StoreInUse({ directory, pid: readPid(directory) })
          : new StoreUnavailable({ directory, reason: reasonOf(cause) }),
    }),
    (lock) => Effect.sync(() => lock.close()),
  ).pipe(Effect.asVoid)

const pidFile = (directory: string): string => join(directory, "lock.pid")

/** Who holds the lock, for the message only; the lock itself never depends on it. */
const readPid = (directory: string): number | null => {
  try {
    const pid = Number(readFileSync(pidFile(directory), "utf8"))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

const SQLITE_BUSY = 5

const isBusy = (cause: unknown): boolean =>
  cause instanceof Error && "errcode" in cause && (cause.errcode as number) % 256 === SQLITE_BUSY
