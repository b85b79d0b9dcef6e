import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Effect } from "effect"
import type { measureQueries } from "./queries.ts"
import type { Stage } from "./stage.ts"

const MAIN = fileURLToPath(new URL("queriesMain.ts", import.meta.url))

type Latencies = Effect.Success<typeof measureQueries>

/** How long answers take in a process of their own: a million events that this one has replayed would be garbage there. */
export const measureQueriesApart = async ({ natsUrl, postgresUrl }: Stage): Promise<Latencies> => {
  const flags = ["--disable-warning=ExperimentalWarning", MAIN, natsUrl, postgresUrl]
  const { stdout } = await promisify(execFile)(process.execPath, flags)
  return JSON.parse(stdout) as Latencies
}
