import { Console, Effect } from "effect"

/** Prints a value as JSON, indented. */
export const printJson = (value: unknown): Effect.Effect<void> => Console.log(JSON.stringify(value, null, 2))

/**
 * Control characters would let stored text drive the terminal; marks of writing direction and line separators would let
 * it rearrange what stands beside it.
 */
// oxlint-disable-next-line no-control-regex -- control characters are the point
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Text that is safe to show: control characters become visible. */
export const visible = (text: string): string =>
  text.replace(CONTROL, (unit) => {
    const code = unit.charCodeAt(0)
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`
  })

/** Longest cell; the sentences that say why a line was rejected fit. */
const CELL_LENGTH_MAX = 120

const shorten = (text: string): string =>
  text.length > CELL_LENGTH_MAX ? `${text.slice(0, CELL_LENGTH_MAX - 1)}…` : text

/** A table with a header; columns of numbers are set flush right. */
export const formatTable = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string | number | null>>,
): string => {
  const numeric = header.map((_, column) => rows.every((row) => typeof row[column] !== "string"))
  const texts = rows.map((row) => row.map((cell) => (cell === null ? "–" : shorten(visible(formatCell(cell))))))
  const widths = header.map((name, column) => Math.max(name.length, ...texts.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd()
  return [line(header), widths.map((width) => "─".repeat(width)).join("  "), ...texts.map(line)].join("\n")
}

const formatCell = (cell: string | number): string =>
  typeof cell === "string" ? cell : Number.isInteger(cell) ? formatCount(cell) : cell.toFixed(2)

/** 1234567 → `1,234,567`. */
export const formatCount = (count: number): string => count.toLocaleString("en-US")

/** So many of something: `1 event`, `2,000 events`. Its plural is made with an s. */
export const counted = (count: number, one: string): string => `${formatCount(count)} ${one}${count === 1 ? "" : "s"}`

/** 0.1234 → `12.3 %`. */
export const formatShare = (share: number | null): string => (share === null ? "–" : `${(share * 100).toFixed(1)} %`)

/** Seconds as people say them: `42 s`, `3.5 min`, `2.1 h`, `4.0 d`. */
export const formatSeconds = (seconds: number): string => {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`
  if (seconds < 86_400) return `${(seconds / 3600).toFixed(1)} h`
  return `${(seconds / 86_400).toFixed(1)} d`
}

const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

/** A series in one line of at most `width` characters; neighbours share one where there are more. */
export const formatChart = (values: ReadonlyArray<number>, width: number): string => {
  const most = Math.max(0, ...values)
  if (values.length < 2 || most === 0) return ""
  const columns = Math.min(width, values.length)
  return Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * values.length) / columns)
    const to = Math.max(from + 1, Math.floor(((column + 1) * values.length) / columns))
    const highest = Math.max(...values.slice(from, to))
    return highest === 0 ? " " : BARS[Math.min(7, Math.floor((highest / most) * 8))]!
  }).join("")
}

/** A bar of up to `width` characters for a share of 0…1. */
export const formatBar = (share: number, width: number): string => "█".repeat(Math.round(share * width))
