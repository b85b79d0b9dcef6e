import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Result } from "effect"
import { reasonOf } from "../../infra/files.ts"
import { UNFINISHED } from "./directory.ts"
import { ArchiveDamaged, ArchiveNewer, ArchiveUnreadable, NoArchive } from "./errors.ts"
import { ARCHIVE_VERSION, decodeManifest, type Manifest, MANIFEST } from "./manifest.ts"

/** A finished export from which a log can be made. */
export interface Archive {
  readonly directory: string
  readonly manifest: Manifest
  /** Everything that lies in the directory. */
  readonly entries: ReadonlyArray<string>
}

const EXPORTED = 'Name a directory that "tidemark log export" wrote'

/**
 * Opens an archive: reads its manifest, and sees that a log can be made from it. Its other files are looked at when they are
 * read.
 */
export const openArchive = Effect.fn("openArchive")(function* (directory: string) {
  const none = (problem: string, remedy: string) => new NoArchive({ directory, problem, remedy })
  const entries = yield* Effect.try({
    try: () => readdirSync(directory),
    catch: (cause) =>
      isAbsent(cause)
        ? none("there is no such directory", EXPORTED)
        : new ArchiveUnreadable({ path: directory, reason: reasonOf(cause) }),
  })
  if (!entries.includes(MANIFEST)) {
    return yield* entries.includes(UNFINISHED)
      ? none("the export was not finished", "Export the log again, to the same directory")
      : none(`there is no ${MANIFEST} in it`, EXPORTED)
  }
  const path = join(directory, MANIFEST)
  const text = yield* Effect.try({
    try: () => readFileSync(path, "utf8"),
    catch: (cause) => new ArchiveUnreadable({ path, reason: reasonOf(cause) }),
  })
  const decoded = decodeManifest(text)
  if (Result.isFailure(decoded)) {
    const { failure } = decoded
    return yield* "version" in failure
      ? new ArchiveNewer({ directory, found: failure.version, known: ARCHIVE_VERSION })
      : new ArchiveDamaged({ directory, file: MANIFEST, problem: failure.problem })
  }
  const manifest = decoded.success
  if (manifest.format === "ndjson") {
    const lines = join(directory, "partition-*")
    const remedy = `To restore a log, export it with "--format batches"; "tidemark import ${lines}" reads these back as events`
    return yield* none("it holds events as NDJSON, for other tools", remedy)
  }
  return { directory, manifest, entries } satisfies Archive
})

const isAbsent = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR")
