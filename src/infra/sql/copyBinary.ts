/** A value of a column that is `integer` or `bytea`. */
type BinaryValue = number | Uint8Array

/** Signature, flags and the length of an extension that is not there. */
const HEADER = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1")

/** In the place of a row's number of values. */
const TRAILER = -1

/**
 * Rows in the binary format of Postgres' `COPY` (PostgreSQL documentation, COPY, "Binary Format"), numbers as `integer` and
 * bytes as `bytea`: for bytes half as long as text, and nothing to escape.
 */
export const copyBinary = (rows: ReadonlyArray<ReadonlyArray<BinaryValue>>): Uint8Array<ArrayBuffer> => {
  let size = HEADER.length + 2
  for (const row of rows) {
    size += 2
    for (const value of row) size += 4 + (typeof value === "number" ? 4 : value.length)
  }
  const out = Buffer.allocUnsafe(size)
  let at = HEADER.copy(out)
  for (const row of rows) {
    at = out.writeInt16BE(row.length, at)
    for (const value of row) {
      if (typeof value === "number") {
        at = out.writeInt32BE(value, out.writeInt32BE(4, at))
      } else {
        at = out.writeInt32BE(value.length, at)
        out.set(value, at)
        at += value.length
      }
    }
  }
  out.writeInt16BE(TRAILER, at)
  return out
}
