/**
 * Measures and prints JSON. Ratios are within this run; rates depend on the machine. Asserts nothing about time. See
 * docs/reference/bench.md.
 *
 *     npm run bench                         the embedded default: codec, then 0.1, 1 and 5 million events
 *     npm run bench -- --millions 0.1,1     other sizes
 *     npm run bench -- --servers            on a nats-server and a PostgreSQL of its own, 1 million events
 *     npm run bench -- --servers --peers    and what it is compared with, installed in bench/peers at first use
 */
import { spawnSync } from "node:child_process"
import { cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { measureCodec } from "./codec.ts"
import { measureServers } from "./servers/main.ts"

const { values } = parseArgs({
  options: {
    millions: { type: "string" },
    servers: { type: "boolean", default: false },
    peers: { type: "boolean", default: false },
  },
})

const runScale = (millions: number): unknown => {
  const script = fileURLToPath(new URL("scale.ts", import.meta.url))
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", script, String(millions)],
    { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
  )
  if (status !== 0) throw new Error(`The measurement of ${millions} million events failed:\n${stderr}`)
  return JSON.parse(stdout)
}

const machine = {
  node: process.version,
  cores: cpus().length,
  cpu: cpus()[0]?.model,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
}

const sizes = (values.millions ?? (values.servers || values.peers ? "1" : "0.1,1,5")).split(",").map(Number)

const measure = async () => {
  if (!values.servers && !values.peers) return { codec: measureCodec(), scale: sizes.map(runScale) }
  const runs: Array<unknown> = []
  for (const millions of sizes) runs.push(await measureServers(Math.round(millions * 1e6), { peers: values.peers }))
  return { servers: runs }
}

console.log(JSON.stringify({ machine, ...(await measure()) }, null, 2))
