import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, type Scope } from "effect"
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

/** Makes a directory and those above it. Node's own recursive way never ends where the system says that nothing is there, as /proc does. */
export const makeDirectory = (directory: string): void => {
  try {
    mkdirSync(directory)
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    if (code === "EEXIST" && statSync(directory).isDirectory()) return
    if (code !== "ENOENT" || existsSync(dirname(directory))) throw cause
    makeDirectory(dirname(directory))
    mkdirSync(directory)
  }
}

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

/** What the system said, as a phrase for a person. */
export const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EACCES":
    case "EPERM":
      return "permission denied; check who owns the directory"
    case "ENOSPC":
      return "no space left on the disk"
    case "ENOTDIR":
    case "EEXIST":
      return "a part of the path is a file, not a directory"
    case "EROFS":
      return "the disk is read-only"
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  return text === "database or disk is full" ? "no space left on the disk" : text
}
