import { Context, type Effect } from "effect"
import { Statement } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"

/**
 * `COPY … FROM STDIN`, which effect/sql does not have: up to twice as fast as an `INSERT` of arrays where rows are many. It runs
 * inside the transaction that the calling fiber is in; without one, it is a transaction of its own.
 */
export class BulkCopy extends Context.Service<
  BulkCopy,
  {
    /**
     * Copies rows into a table, by the columns named; the names are quoted here. Rows are in Postgres' text format, as
     * `copyText` makes it, or as bytes in its binary format, as `copyBinary` makes it.
     */
    readonly copy: (
      table: string,
      columns: ReadonlyArray<string>,
      rows: string | Uint8Array<ArrayBuffer>,
    ) => Effect.Effect<void, SqlError>
  }
>()("tidemark/infra/sql/BulkCopy") {}

const quote = Statement.defaultEscape('"')

/** The statement that copies into a table from where the driver keeps the rows. */
export const copyStatement = (
  table: string,
  columns: ReadonlyArray<string>,
  source: "STDIN" | "'/dev/blob'",
  format: "text" | "binary",
): string => `COPY ${quote(table)} (${columns.map(quote).join()}) FROM ${source} (FORMAT ${format})`

/** The format of rows to copy. */
export const formatOf = (rows: string | Uint8Array): "text" | "binary" => (typeof rows === "string" ? "text" : "binary")
