import { CsvReader } from "./csv.ts"
import type { FileDoor } from "./door.ts"
import type { LineReader } from "./lines.ts"
import { NdjsonReader } from "./ndjson.ts"

/** The reader of a file's format; `source` is how messages call the file. */
export const readerOf = (door: FileDoor, source: string): LineReader =>
  door.context.format === "csv" ? new CsvReader(door, source) : new NdjsonReader(door)
