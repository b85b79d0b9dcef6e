import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { makeDirectory, reasonOf } from "../../infra/files.ts"
import { ArchiveNotWritten, ArchiveTargetTaken } from "./errors.ts"
import { encodeManifest, type Manifest, MANIFEST } from "./manifest.ts"

/** Stands where the manifest will be as long as the export is not finished, and says that what lies beside it may go. */
export const UNFINISHED = `${MANIFEST}.unfinished`

/** Names of the files that an export writes. */
const OWN = /^(?:partition-\d+|control|quarantine)-\d+\.(?:batches\.zst|ndjson\.zst|ndjson\.gz)$/

/**
 * Makes room for an export: a directory that is not there yet, an empty one, or one with an export that was not finished,
 * whose files are removed. Anything else is left as it is and refused.
 */
export const prepareDirectory = Effect.fnUntraced(function* (directory: string) {
  const taken = (found: string) => new ArchiveTargetTaken({ directory, found })
  const entries = yield* writing(directory, () => {
    makeDirectory(directory)
    return readdirSync(directory)
  })
  if (entries.includes(MANIFEST)) return yield* taken("there is a finished export in it")
  const unfinished = entries.includes(UNFINISHED)
  const foreign = entries.find((name) => name !== UNFINISHED && !(unfinished && OWN.test(name)))
  if (foreign !== undefined) return yield* taken(`it is not empty (${foreign} is in it)`)
  yield* writing(directory, () => {
    for (const name of entries) rmSync(join(directory, name))
    writeFileSync(join(directory, UNFINISHED), "")
  })
})

/** Writes the manifest, at once or not at all: the last step of an export. */
export const finishDirectory = (directory: string, manifest: Manifest) =>
  writing(join(directory, MANIFEST), () => {
    const unfinished = join(directory, UNFINISHED)
    writeFileSync(unfinished, encodeManifest(manifest), { flush: true })
    // The names of the other files must be on the disk before the one that says that they are.
    syncDirectory(directory)
    renameSync(unfinished, join(directory, MANIFEST))
    syncDirectory(directory)
  })

const syncDirectory = (directory: string): void => {
  const handle = openSync(directory, "r")
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

const writing = <A>(path: string, run: () => A): Effect.Effect<A, ArchiveNotWritten> =>
  Effect.try({ try: run, catch: (cause) => new ArchiveNotWritten({ path, reason: reasonOf(cause) }) })
