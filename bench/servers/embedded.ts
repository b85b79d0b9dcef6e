import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { round } from "./timing.ts"
import { writeNdjson } from "./ndjson.ts"

const MAIN = fileURLToPath(new URL("../../src/app/cli/main.ts", import.meta.url))
const STARTS = 5
const EVENTS = 20_000

/** From the start of the program to its first answer on the embedded default, with a store that is there already. */
export const startToFirstAnswer = () => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-bench-"))
  const run = (...args: ReadonlyArray<string>): number => {
    const start = performance.now()
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", MAIN, ...args, "--dir", join(directory, "store")],
      { encoding: "utf8" },
    )
    if (status !== 0) throw new Error(`tidemark ${args.join(" ")} failed: ${stderr}`)
    return (performance.now() - start) / 1000
  }
  try {
    const file = join(directory, "events.ndjson")
    writeNdjson(file, EVENTS)
    run("import", file)
    const times = Array.from({ length: STARTS }, () => run("query", "active-users")).sort((a, b) => a - b)
    return { medianSeconds: round(times[STARTS >>> 1]!, 2), maxSeconds: round(times[STARTS - 1]!, 2), starts: STARTS }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
