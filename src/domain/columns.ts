/** A larger copy of a column, with room for at least so many. */
export const grownInts = (column: Int32Array, room: number): Int32Array => {
  const larger = new Int32Array(Math.max(room, 2 * column.length))
  larger.set(column)
  return larger
}

/** The same for numbers that are no 32-bit integers. */
export const grownFloats = (column: Float64Array, room: number): Float64Array => {
  const larger = new Float64Array(Math.max(room, 2 * column.length))
  larger.set(column)
  return larger
}
