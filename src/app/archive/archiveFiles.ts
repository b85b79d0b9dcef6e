import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { join } from "node:path"
import { Effect, Stream } from "effect"
import { reasonOf } from "../../infra/files.ts"
import { isImportError } from "../import/errors.ts"
import { readSource } from "../import/source.ts"
import { ArchiveDamaged, ArchiveUnreadable } from "./errors.ts"
import { type Frame, FrameReader } from "./frames.ts"
import { MANIFEST } from "./manifest.ts"
import type { Archive } from "./openArchive.ts"

export type ArchiveFileError = ArchiveDamaged | ArchiveUnreadable

/** Checks that the files are there, all of them and no others, each with the bytes that the export wrote. */
export const checkPresence = Effect.fn("checkPresence")(function* ({ directory, manifest, entries }: Archive) {
  const damaged = (file: string, problem: string) => new ArchiveDamaged({ directory, file, problem })
  const files = [...manifest.files, ...manifest.quarantine]
  const names = new Set([MANIFEST, ...files.map(({ name }) => name)])
  const missing = files.find(({ name }) => !entries.includes(name))
  if (missing !== undefined) return yield* damaged(missing.name, "is missing")
  const extra = entries.find((name) => !names.has(name))
  if (extra !== undefined) return yield* damaged(extra, "is not of this archive")
  for (const { name, bytes, sha256 } of files) {
    const path = join(directory, name)
    const found = yield* Effect.tryPromise({
      try: () => measure(path),
      catch: (cause) => new ArchiveUnreadable({ path, reason: reasonOf(cause) }),
    })
    if (found.bytes !== bytes) return yield* damaged(name, `has ${found.bytes} bytes, and the export wrote ${bytes}`)
    if (found.sha256 !== sha256) return yield* damaged(name, "does not match its checksum")
  }
})

const measure = async (path: string): Promise<{ readonly bytes: number; readonly sha256: string }> => {
  const hash = createHash("sha256")
  let bytes = 0
  for await (const block of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(block)
    bytes += block.length
  }
  return { bytes, sha256: hash.digest("hex") }
}

/** The frames of a file of batches. */
export const readFrames = (directory: string, name: string): Stream.Stream<Frame, ArchiveFileError> =>
  readFile(directory, name, async function* (blocks) {
    const reader = new FrameReader()
    for await (const block of blocks) {
      const frames = reader.push(block)
      if (frames === null) throw new ArchiveDamaged({ directory, file: name, problem: "does not hold records" })
      yield* frames
    }
    if (!reader.isWhole) throw new ArchiveDamaged({ directory, file: name, problem: "ends in the middle of a record" })
  })

/** The lines of a file of JSON. */
export const readJsonLines = (directory: string, name: string): Stream.Stream<unknown, ArchiveFileError> =>
  readFile(directory, name, async function* (blocks) {
    let rest: Buffer = Buffer.alloc(0)
    for await (const block of blocks) {
      rest = Buffer.concat([rest, block])
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        yield JSON.parse(rest.toString("utf8", 0, end)) as unknown
        rest = rest.subarray(end + 1)
      }
    }
  })

const readFile = <A>(
  directory: string,
  name: string,
  read: (blocks: AsyncIterable<Buffer>) => AsyncGenerator<A>,
): Stream.Stream<A, ArchiveFileError> =>
  // Suspended, since a generator runs once and a stream may run again.
  Stream.suspend(() => Stream.fromAsyncIterable(read(readSource(join(directory, name))), (cause) => cause)).pipe(
    Stream.mapError((cause) => toArchiveError(directory, name, cause)),
  )

const toArchiveError = (directory: string, name: string, cause: unknown): ArchiveFileError => {
  if (cause instanceof ArchiveDamaged) return cause
  if (isImportError(cause) && cause._tag === "CompressedDataDamaged") {
    return new ArchiveDamaged({ directory, file: name, problem: `can't be decompressed (${cause.problem})` })
  }
  return new ArchiveUnreadable({ path: join(directory, name), reason: reasonOf(cause) })
}
