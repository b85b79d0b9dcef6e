import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { writeNdjson } from "./ndjson.ts"

const PEERS = fileURLToPath(new URL("../peers/", import.meta.url))

/** Installs what the bench compares with, if it isn't there; a sentence when that can't be done. */
export const installPeers = (): string | null => {
  if (existsSync(join(PEERS, "node_modules"))) return null
  const { status, stderr, error } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: PEERS,
    encoding: "utf8",
  })
  if (status === 0) return null
  const lines = (error?.message ?? stderr).trim().split("\n")
  return `The peers could not be installed in bench/peers, so there is no comparison with them: ${lines[0]}`
}

/** Runs one of the programs in bench/peers, which prints one object of JSON. */
const run = (script: string, ...args: ReadonlyArray<string>): unknown => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(PEERS, script), ...args],
    { encoding: "utf8" },
  )
  if (status !== 0) throw new Error(`bench/peers/${script} failed: ${stderr}`)
  return JSON.parse(stdout)
}

export interface EmmettMeasured {
  readonly consumedEventsPerSecond: number
  readonly appendedEventsPerSecond: number
  readonly sample: number
}

/** Emmett's consumer with a projection of daily active users, on the same PostgreSQL in a database of its own. */
export const measureEmmett = (postgresUrl: string, sample: number): EmmettMeasured =>
  withNdjson(sample, (file) => run("emmett.ts", postgresUrl, file) as EmmettMeasured)

export interface DuckDbMeasured {
  readonly seconds: number
  readonly threads: number
  /** The numbers that both must agree on. */
  readonly answers: {
    readonly personDays: number
    readonly featurePersonDays: number
    readonly funnel: ReadonlyArray<number>
  }
}

/** DuckDB that answers the three questions once, from the same events in a file. */
export const measureDuckDb = (count: number): DuckDbMeasured =>
  withNdjson(count, (file) => run("duckdb.ts", file) as DuckDbMeasured)

const withNdjson = <A>(count: number, use: (file: string) => A): A => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-peers-"))
  try {
    const file = join(directory, "events.ndjson")
    writeNdjson(file, count)
    return use(file)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
