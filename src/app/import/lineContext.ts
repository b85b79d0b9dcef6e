import type { ColumnMap } from "./columnKey.ts"

/** What all lines of one file share of their {@link LineContext}. */
export interface FileContext {
  /** Base name; part of derived event ids. */
  readonly fileName: string
  readonly format: "ndjson" | "csv"
  /** CSV: what separates fields. */
  readonly delimiter: string
  /** CSV: the names of the columns; `null` until they are read, and for NDJSON. */
  readonly header: ReadonlyArray<string> | null
  readonly map: ColumnMap
  readonly eventName: string | null
  /** IANA name of the zone of times that name none. */
  readonly zone: string
  /** See `idSaltOf`; `null` until the first record is read. */
  readonly idSalt: string | null
}

/**
 * What the meaning of a line depends on: enough to read it again, alone, as the same event with the same id. Plain
 * JSON, to be kept beside the line in quarantine; a replay may change the map or the event name before it tries again.
 */
export interface LineContext extends FileContext {
  /** The line's number in the file, from 1; of a CSV record its first. */
  readonly line: number
  /** Whether only the beginning of the line was kept, so that it can't be read again. */
  readonly truncated: boolean
}
