import { execFile } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"

/**
 * Makes the files of a new Postgres below `directory`, unless they are there.
 *
 * They are made beside it and moved into place when they are whole, so a process killed on the way leaves nothing that
 * looks like a database. And they are made by a process of their own: it takes a gigabyte for a few seconds, which
 * without the optimising compiler for WebAssembly is half of that, and none of it stays with this process.
 */
export const makeCluster = async (directory: string): Promise<void> => {
  const parent = dirname(directory)
  const prefix = `${basename(directory)}-new-`
  for (const entry of readdirSync(parent)) {
    if (entry.startsWith(prefix)) removeLeftover(join(parent, entry))
  }
  if (existsSync(directory)) return
  const fresh = mkdtempSync(join(parent, prefix))
  await promisify(execFile)(process.execPath, ["--liftoff-only", "--input-type=module", "--eval", script(fresh)])
  renameSync(fresh, directory)
}

/**
 * Removes what a killed process left. The process that it had started may still be writing there, and then what can't be
 * removed now is left for the next start.
 */
const removeLeftover = (path: string): void => {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    return
  }
}

const script = (directory: string): string => `
  const { PGlite } = await import(${JSON.stringify(import.meta.resolve("@electric-sql/pglite"))})
  const database = await PGlite.create(${JSON.stringify(directory)})
  await database.close()
`
