import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { parse } from "csv-parse/sync"

const readText = (file: string): string => {
  const bytes = readFileSync(file)
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString()
}

/** All records of a CSV file, by the names of its columns. */
export const readCsv = (file: string): ReadonlyArray<Readonly<Record<string, string>>> =>
  parse(readText(file), { columns: true })

/** The lines of a file without those that are empty: for CSV that has no quotes and is too large to be parsed as such. */
export const readLines = (file: string): ReadonlyArray<string> =>
  readText(file)
    .split("\n")
    .filter((line) => line !== "")

/** Lines of newline-delimited JSON. */
export const toJsonLines = (values: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  values.map((value) => JSON.stringify(value))
