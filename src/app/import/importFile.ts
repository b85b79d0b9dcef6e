import path from "node:path"
import { Stream } from "effect"
import { EVENT_BYTES_MAX } from "../../domain/event/size.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import type { ColumnMap } from "./columnKey.ts"
import { FileDoor } from "./door.ts"
import { FormatUnknown, type ImportError, isImportError } from "./errors.ts"
import { type FormatName, formatOf } from "./format.ts"
import type { FileContext } from "./lineContext.ts"
import { type LineReader, LineSplitter } from "./lines.ts"
import { readerOf } from "./reader.ts"
import type { Row } from "./row.ts"
import { nameOfSource, readSource, STDIN } from "./source.ts"

export { importLine } from "./importLine.ts"
export type { LineContext } from "./lineContext.ts"
export type { Row } from "./row.ts"

export interface ImportOptions {
  readonly format: FormatName
  /** Which column or field is what, where its name doesn't say. */
  readonly map: ColumnMap
  /** The name of events that the file gives none. */
  readonly eventName: string | null
  /** The zone of times that name none. */
  readonly zone: TimeZone
  /** The import's own moment, ms; later times than a day after it are turned away. */
  readonly now: number
}

/**
 * Reads a file, or standard input for `-`, as events: NDJSON or CSV, plain or compressed with gzip or zstd. Memory does
 * not grow with the file.
 *
 * Every line that is not blank becomes one row, in the order of the file, accepted or rejected with its reason. Rows
 * come in arrays of up to {@link ROWS_MAX}. A file that can't be read to its end fails after all rows before that place.
 */
export const importFile = (file: string, options: ImportOptions): Stream.Stream<ReadonlyArray<Row>, ImportError> =>
  // Suspended, since a generator runs once and a stream may run again.
  Stream.suspend(() => Stream.fromAsyncIterable(rowsOf(file, options), (cause) => cause)).pipe(
    Stream.catch((cause) => (isImportError(cause) ? Stream.fail(cause) : Stream.die(cause))),
  )

/** Most rows in one array. */
export const ROWS_MAX = 4096

async function* rowsOf(file: string, options: ImportOptions): AsyncGenerator<ReadonlyArray<Row>> {
  const blocks = readSource(file)
  try {
    const { bytes, firstLine } = await readHead(blocks)
    if (firstLine === undefined) return
    const { door, reader } = openDoor(file, firstLine, options)
    const splitter = new LineSplitter(reader)
    yield* rowsAfter(door, () => splitter.push(bytes))
    for await (const block of blocks) yield* rowsAfter(door, () => splitter.push(block))
    yield* rowsAfter(door, () => {
      splitter.finish()
      reader.finish()
    })
  } finally {
    await blocks.return(undefined)
  }
}

/** The rows that a step makes, also those that it makes before it fails. */
function* rowsAfter(door: FileDoor, step: () => void): Generator<ReadonlyArray<Row>> {
  let failure: { readonly cause: unknown } | null = null
  try {
    step()
  } catch (cause) {
    failure = { cause }
  }
  const rows = door.takeRows()
  for (let at = 0; at < rows.length; at += ROWS_MAX) yield rows.slice(at, at + ROWS_MAX)
  if (failure !== null) throw failure.cause
}

/** Reads until the first line that is not blank is there, which says what the file is; none in an empty file. */
const readHead = async (
  blocks: AsyncGenerator<Buffer>,
): Promise<{ readonly bytes: Buffer; readonly firstLine: string | undefined }> => {
  let bytes: Buffer = Buffer.alloc(0)
  for (;;) {
    const next = await blocks.next()
    const ended = next.done === true
    if (!ended) bytes = Buffer.concat([bytes, next.value])
    const text = withoutMark(bytes).toString("utf8").trimStart()
    const lineEnd = text.indexOf("\n")
    if (lineEnd >= 0 || ended || bytes.length > EVENT_BYTES_MAX) {
      const firstLine = lineEnd < 0 ? text : text.slice(0, lineEnd)
      return { bytes: withoutMark(bytes), firstLine: firstLine === "" ? undefined : firstLine }
    }
  }
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

const withoutMark = (bytes: Buffer): Buffer =>
  bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes

const openDoor = (
  file: string,
  firstLine: string,
  options: ImportOptions,
): { readonly door: FileDoor; readonly reader: LineReader } => {
  const source = nameOfSource(file)
  const format = formatOf(firstLine, options.format, options.map)
  if (format._tag === "Unknown") throw new FormatUnknown({ path: source, found: format.found })
  const context: FileContext = {
    fileName: file === STDIN ? "stdin" : path.basename(file),
    format: format._tag === "Csv" ? "csv" : "ndjson",
    delimiter: format._tag === "Csv" ? format.delimiter : "",
    header: null,
    map: options.map,
    eventName: options.eventName,
    zone: options.zone.name,
    idSalt: null,
  }
  const door = new FileDoor(context, options.zone, options.now)
  return { door, reader: readerOf(door, source) }
}
