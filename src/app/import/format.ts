import { delimiterOf } from "./csvRecord.ts"
import type { ColumnMap } from "./columnKey.ts"
import { knowsColumn } from "./columnMap.ts"

/** How the lines of a file are to be read. `tidemark` and `segment` are both NDJSON. */
export type Format = { readonly _tag: "Ndjson" } | { readonly _tag: "Csv"; readonly delimiter: string }

/** As a user names them; `auto` looks at the first line. */
export type FormatName = "auto" | "tidemark" | "segment" | "csv"

/** The format of a file whose first line that is not blank is given; else what speaks against all of them. */
export const formatOf = (
  firstLine: string,
  name: FormatName,
  map: ColumnMap,
): Format | { readonly _tag: "Unknown"; readonly found: string } => {
  const delimiter = delimiterOf(firstLine)
  if (name === "tidemark" || name === "segment") return NDJSON
  if (firstLine.includes("\0")) return { _tag: "Unknown", found: "it holds bytes that no UTF-8 text file has" }
  if (name === "csv") return { _tag: "Csv", delimiter: delimiter ?? "," }
  // An array can't be an event, but says that the writer meant JSON: its lines are turned away one by one.
  if (/^\s*[{[]/.test(firstLine)) return NDJSON
  if (delimiter !== undefined) return { _tag: "Csv", delimiter }
  if (knowsColumn([firstLine.trim()], map)) return { _tag: "Csv", delimiter: "," }
  if (isJson(firstLine)) return NDJSON
  return {
    _tag: "Unknown",
    found: "its first line is neither JSON nor a header with several columns",
  }
}

const NDJSON: Format = { _tag: "Ndjson" }

const isJson = (line: string): boolean => {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
