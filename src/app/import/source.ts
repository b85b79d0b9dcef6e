import { type FileHandle, open } from "node:fs/promises"
import zlib from "node:zlib"
import {
  CompressedDataDamaged,
  FileIsDirectory,
  FileNotFound,
  FileNotPermitted,
  FileUnreadable,
  type ImportError,
} from "./errors.ts"

/** Bytes asked of the file at once: large enough that the calls cost nothing, small enough to stay in the cache. */
const READ_BYTES = 256 * 1024

/** The path that stands for standard input. */
export const STDIN = "-"

/** How messages call the source at a path. */
export const nameOfSource = (path: string): string => (path === STDIN ? "standard input" : path)

/**
 * The decompressed bytes of a file or of standard input, in blocks of at most a few 100 KiB. Whether and how it is
 * compressed is told by its first bytes, not by its name.
 *
 * Throws an `ImportError`; all bytes that could be read before it are delivered first.
 */
export async function* readSource(path: string): AsyncGenerator<Buffer> {
  const blocks = path === STDIN ? readStdin() : readFile(path)
  const first: Array<Buffer> = []
  let size = 0
  // A pipe may deliver single bytes.
  while (size < MAGIC_BYTES_MAX) {
    const next = await blocks.next()
    if (next.done === true) break
    first.push(next.value)
    size += next.value.length
  }
  const start = Buffer.concat(first)
  const compression = compressionOf(start)
  const whole = chain(start, blocks)
  yield* compression === null ? whole : decompress(whole, nameOfSource(path), compression)
}

async function* chain(start: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (start.length > 0) yield start
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

const MAGIC_BYTES_MAX = 4

const compressionOf = (start: Buffer): "gzip" | "zstd" | null => {
  if (start.length >= 2 && start.readUInt16BE(0) === 0x1f8b) return "gzip"
  if (start.length < 4) return null
  const magic = start.readUInt32LE(0)
  // 0x184D2A50…5F: a skippable frame, with which parallel compressors begin.
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50 ? "zstd" : null
}

async function* readFile(path: string): AsyncGenerator<Buffer> {
  let file: FileHandle
  try {
    file = await open(path, "r")
  } catch (cause) {
    throw fileError(path, cause)
  }
  try {
    for (;;) {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (cause) {
    throw fileError(path, cause)
  } finally {
    await file.close()
  }
}

async function* readStdin(): AsyncGenerator<Buffer> {
  try {
    for await (const block of process.stdin) yield block as Buffer
  } catch (cause) {
    throw fileError(nameOfSource(STDIN), cause)
  }
}

const fileError = (path: string, cause: unknown): ImportError => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  // ENOTDIR: a part of the path before its last is a file.
  if (code === "ENOENT" || code === "ENOTDIR") return new FileNotFound({ path })
  if (code === "EISDIR") return new FileIsDirectory({ path })
  if (code === "EACCES" || code === "EPERM") return new FileNotPermitted({ path })
  return new FileUnreadable({
    path,
    problem: cause instanceof Error ? cause.message : String(cause),
  })
}

/** Compressed bytes given to the engine at once. What a damaged piece unpacked to is lost with it, so it is small. */
const PIECE_BYTES = 16 * 1024

/** Unpacked bytes after which the engine waits for the reader: a bomb may unpack to a thousand times its size. */
const UNPACKED_BYTES_MAX = 4 * 1024 * 1024

/**
 * Node's decompressors are driven by hand, since piping them would throw away what was unpacked before an error, and
 * their zstd stops silently after the first of several frames.
 */
async function* decompress(
  source: AsyncGenerator<Buffer>,
  path: string,
  compression: "gzip" | "zstd",
): AsyncGenerator<Buffer> {
  let engine = new Engine(compression)
  try {
    for await (const block of source) {
      for (let at = 0; at < block.length;) {
        const piece = block.subarray(at, at + PIECE_BYTES)
        const before = engine.bytesTaken
        yield* engine.write(piece)
        const taken = engine.bytesTaken - before
        at += taken
        // The engine leaves what follows the end of its frame: the next frame, or garbage, which a new one refuses.
        if (taken < piece.length) {
          if (taken === 0) throw new EngineFailure("data that is not compressed follows")
          engine.close()
          engine = new Engine(compression)
        }
      }
    }
    yield* engine.end()
  } catch (cause) {
    if (!(cause instanceof EngineFailure)) throw cause
    throw new CompressedDataDamaged({ path, compression, problem: cause.message })
  } finally {
    engine.close()
  }
}

class EngineFailure extends Error {}

/** One run of a decompressor: write a piece, take what it unpacks to. */
class Engine {
  readonly #stream: zlib.Gunzip | zlib.ZstdDecompress
  #unpacked: Array<Buffer> = []
  #unpackedBytes = 0
  #failure: Error | null = null
  #settled = false
  #wake: () => void = () => {}

  constructor(compression: "gzip" | "zstd") {
    const options = { chunkSize: READ_BYTES }
    this.#stream = compression === "gzip" ? zlib.createGunzip(options) : zlib.createZstdDecompress(options)
    this.#stream.on("data", (block: Buffer) => {
      this.#unpacked.push(block)
      this.#unpackedBytes += block.length
      if (this.#unpackedBytes >= UNPACKED_BYTES_MAX) {
        this.#stream.pause()
        this.#wake()
      }
    })
    this.#stream.on("error", (error) => {
      this.#failure = error
      this.#settle()
    })
    this.#stream.on("end", () => this.#settle())
  }

  get bytesTaken(): number {
    return this.#stream.bytesWritten
  }

  write(piece: Buffer): AsyncGenerator<Buffer> {
    this.#settled = false
    this.#stream.write(piece, () => this.#settle())
    return this.#take()
  }

  end(): AsyncGenerator<Buffer> {
    this.#settled = this.#stream.readableEnded
    this.#stream.end()
    return this.#take()
  }

  close(): void {
    this.#stream.destroy()
  }

  async *#take(): AsyncGenerator<Buffer> {
    for (;;) {
      if (!this.#settled && this.#unpackedBytes < UNPACKED_BYTES_MAX) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      const settled = this.#settled
      const blocks = this.#unpacked
      this.#unpacked = []
      this.#unpackedBytes = 0
      yield* blocks
      if (settled) break
      this.#stream.resume()
    }
    if (this.#failure !== null) throw new EngineFailure(this.#failure.message)
  }

  #settle(): void {
    this.#settled = true
    this.#wake()
  }
}
