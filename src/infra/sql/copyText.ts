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
  // A row is joined before it is added: adding value by value takes three times as long.
  for (const row of rows) text += `${row.map(copyValue).join("\t")}\n`
  return text
}

/** One value of {@link copyText}. */
const copyValue = (value: CopyValue): string => {
  if (value === null) return "\\N"
  if (typeof value === "string") return escapeForCopy(value)
  if (value instanceof Uint8Array) return `\\${bytesLiteral(value)}`
  return isArray(value) ? escapeForCopy(arrayLiteral(value)) : plain(value)
}

/** Nearly all text holds nothing to escape, which is found out faster than it is replaced. */
const escapeForCopy = (text: string): string =>
  SPECIAL.test(text) ? text.replace(ALL_SPECIAL, (unit) => ESCAPES[unit]!) : text

const SPECIAL = /[\\\t\n\r]/
const ALL_SPECIAL = /[\\\t\n\r]/g
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" }

/** `{1,2}`, `{"a","b\"c",NULL}`. Text is always quoted, so that neither `NULL` nor an empty text needs a rule. */
const arrayLiteral = (elements: ReadonlyArray<CopyElement>): string => `{${elements.map(element).join()}}`

const element = (value: CopyElement): string => {
  if (value === null) return "NULL"
  if (typeof value === "string") return `"${value.replace(/["\\]/g, "\\$&")}"`
  return value instanceof Uint8Array ? `"\\${bytesLiteral(value)}"` : plain(value)
}

const plain = (value: number | bigint | boolean): string =>
  typeof value === "boolean" ? (value ? "t" : "f") : String(value)

/** `\x` and hexadecimal digits; its backslash is for the caller to escape. */
const bytesLiteral = (bytes: Uint8Array): string =>
  `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`

// `Array.isArray` does not narrow a read-only array.
const isArray = (value: CopyValue): value is ReadonlyArray<CopyElement> => Array.isArray(value)
