import { closeSync, openSync, writeSync } from "node:fs"
import { asJson, dataset } from "./data.ts"

const LINES_AT_ONCE = 10_000

/** Writes the data set to a file, an event a line. */
export const writeNdjson = (file: string, count: number): void => {
  const descriptor = openSync(file, "w")
  try {
    let lines: Array<string> = []
    const write = () => {
      writeSync(descriptor, lines.map((line) => `${line}\n`).join(""))
      lines = []
    }
    for (const event of dataset(count)) {
      lines.push(asJson(event))
      if (lines.length === LINES_AT_ONCE) write()
    }
    write()
  } finally {
    closeSync(descriptor)
  }
}
