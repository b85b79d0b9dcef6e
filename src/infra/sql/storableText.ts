/**
 * Postgres text holds neither NUL nor half of a surrogate pair, and JSON strings may hold both; a U+FEFF at the beginning
 * is taken for a byte order mark on the way out. Such text is escaped on the way in and restored on the way out; nearly
 * all text passes unchanged.
 */
// oxlint-disable-next-line no-control-regex -- NUL is the point
const UNSTORABLE = /[\\\u0000]|^\ufeff|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Text that Postgres can hold: `\\`, `\0` and `\uD800` stand for a backslash, NUL and a lone surrogate. */
export const toStorable = (text: string): string =>
  text.includes("\\") || text.includes("\0") || text.startsWith("\ufeff") || !text.isWellFormed()
    ? text.replace(UNSTORABLE, (unit) =>
        unit === "\\" ? "\\\\" : unit === "\0" ? "\\0" : `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
      )
    : text

/** The text that {@link toStorable} was given. */
export const fromStorable = (text: string): string =>
  text.includes("\\")
    ? text.replace(/\\(\\|0|u[0-9a-f]{4})/g, (_, escape: string) =>
        escape === "\\" ? "\\" : escape === "0" ? "\0" : String.fromCharCode(Number.parseInt(escape.slice(1), 16)),
      )
    : text
