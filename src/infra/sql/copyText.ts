/** A value of one element of an array column. */
export type CopyElement = string | number | bigint | boolean | Uint8Array | null

/** A value of one column of a row. Text must be one that Postgres can hold: see `toStorable`. */
export type CopyValue = CopyElement | ReadonlyArray<CopyElement>

/**
 * Rows in the text format of Postgres' `COPY` (PostgreSQL documentation, COPY, "Text Format"): a line per row, a tab
 * between values, `\N` for NULL.
 */
export const copyText = (rows: Iterable<ReadonlyArray<CopyValue>>): string => {
  let text = ""
  for (const row of rows) {
    for (let column = 0; column < row.length; column++) text += (column === 0 ? "" : "\t") + copyValue(row[column]!)
    text += "\n"
  }
  return text
}

/** One value of {@link copyText}. */
const copyValue = (value: CopyValue): string => {
  if (value === null) return "\\N"
  return typeof value === "number" ? String(value) : escapeForCopy(isArray(value) ? arrayLiteral(value) : plain(value))
}

const SPECIAL = /[\\\t\n\r]/g
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" }

const escapeForCopy = (text: string): string => text.replace(SPECIAL, (unit) => ESCAPES[unit]!)

/** `{1,2}`, `{"a","b\"c",NULL}`. Text is always quoted, so that neither `NULL` nor an empty text needs a rule. */
const arrayLiteral = (elements: ReadonlyArray<CopyElement>): string => `{${elements.map(element).join()}}`

const element = (value: CopyElement): string => {
  if (value === null) return "NULL"
  const text = plain(value)
  return typeof value === "string" || value instanceof Uint8Array ? `"${text.replace(/["\\]/g, "\\$&")}"` : text
}

const plain = (value: Exclude<CopyElement, null>): string => {
  if (value instanceof Uint8Array) {
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`
  }
  return typeof value === "boolean" ? (value ? "t" : "f") : String(value)
}

// `Array.isArray` does not narrow a read-only array.
const isArray = (value: CopyValue): value is ReadonlyArray<CopyElement> => Array.isArray(value)
