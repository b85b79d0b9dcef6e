import { createHash } from "node:crypto"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib"
import { Effect, type Scope } from "effect"
import { reasonOf } from "../../infra/files.ts"
import { ArchiveNotWritten } from "./errors.ts"

/** A file as it was written. */
export interface WrittenFile {
  readonly name: string
  /** Compressed. */
  readonly bytes: number
  /** Of the compressed bytes, in hex. */
  readonly sha256: string
}

/** What the files of a series have in common. `Tally` is what is counted for each of them. */
export interface FileSeriesOptions<Tally> {
  readonly directory: string
  /** `partition-0` */
  readonly prefix: string
  /** `batches.zst`: what is in it, and how it is compressed. */
  readonly suffix: `${string}.${Compression}`
  /** Bytes that a file holds at most, before compression, unless one piece has more. */
  readonly fileBytes: number
  readonly emptyTally: () => Tally
}

type Compression = "zst" | "gz"

/** Files that are written one after another. */
export interface FileSeries<Tally> {
  /** Appends bytes that belong together to the file at hand, and counts them. */
  readonly write: (bytes: Uint8Array, count: (tally: Tally) => void) => Effect.Effect<void, ArchiveNotWritten>
  /** Ends the last file. All files, durable, in their order; none where nothing was written. */
  readonly finish: Effect.Effect<ReadonlyArray<WrittenFile & Tally>, ArchiveNotWritten>
}

/** Opens a series; no file is made before there is something to write. */
export const openFileSeries = <Tally>({
  directory,
  prefix,
  suffix,
  fileBytes,
  emptyTally,
}: FileSeriesOptions<Tally>): Effect.Effect<FileSeries<Tally>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const written: Array<WrittenFile & Tally> = []
    let current: { readonly name: string; readonly file: CompressedFile; readonly tally: Tally } | null = null
    /** What the file at hand holds. */
    let held = 0
    // What is left open when the export fails or is stopped.
    yield* Effect.addFinalizer(() => Effect.sync(() => current?.file.destroy()))

    const io = <A>(name: string, run: () => Promise<A>): Effect.Effect<A, ArchiveNotWritten> =>
      Effect.tryPromise({
        try: run,
        catch: (cause) => new ArchiveNotWritten({ path: join(directory, name), reason: reasonOf(cause) }),
      })

    const end = Effect.gen(function* () {
      if (current === null) return
      const { name, file, tally } = current
      const { bytes, sha256 } = yield* io(name, () => file.end())
      written.push({ name, bytes, sha256, ...tally })
      current = null
      held = 0
    })

    const open = () => {
      const name = `${prefix}-${String(written.length + 1).padStart(6, "0")}.${suffix}`
      return { name, file: new CompressedFile(join(directory, name)), tally: emptyTally() }
    }

    return {
      write: Effect.fnUntraced(function* (bytes, count) {
        if (held > 0 && held + bytes.length > fileBytes) yield* end
        const { name, file, tally } = (current ??= open())
        yield* io(name, () => file.write(bytes))
        held += bytes.length
        count(tally)
      }),
      finish: Effect.map(end, () => written),
    }
  })

/** A file that is compressed and hashed while it is written, and is synced to the disk at its end. */
class CompressedFile {
  readonly #compressor: Gzip | ZstdCompress
  readonly #hash = createHash("sha256")
  readonly #stored: Promise<void>
  #bytes = 0

  constructor(path: string) {
    this.#compressor = path.endsWith(".gz") ? createGzip() : createZstdCompress()
    this.#stored = pipeline(
      this.#compressor,
      (blocks: AsyncIterable<Buffer>) => this.#measure(blocks),
      createWriteStream(path, { flush: true }),
    )
    // A failure is said by the write or the end that comes upon it.
    this.#stored.catch(() => undefined)
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#compressor.write(bytes, (error) => (error == null ? resolve() : reject(error)))
      })
    } catch (cause) {
      // What stopped the file says why, and the compressor only that it was stopped.
      await this.#stored
      throw cause
    }
  }

  async end(): Promise<{ readonly bytes: number; readonly sha256: string }> {
    this.#compressor.end()
    await this.#stored
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") }
  }

  destroy(): void {
    this.#compressor.destroy()
  }

  async *#measure(blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const block of blocks) {
      this.#hash.update(block)
      this.#bytes += block.length
      yield block
    }
  }
}
