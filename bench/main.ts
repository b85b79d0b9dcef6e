/**
 * Measures and prints JSON. Ratios are within this run; rates depend on the machine. Asserts nothing about time. See
 * docs/reference/bench.md.
 *
 *     npm run bench                         the embedded default: codec, then 0.1, 1 and 5 million events
 *     npm run bench -- --millions 0.1,1     other sizes
 *     npm run bench -- --servers            on a nats-server and a PostgreSQL of its own, 1 million events
 *     npm run bench -- --servers --peers    and what it is compared with, installed in bench/peers at first use
 *     npm run bench -- --rebuild            rebuilds beside live projection, on servers and embedded, 1 million events
 */
import { spawnSync } from "node:child_process"
import { cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { measureCodec } from "./codec.ts"
import { measureRebuild } from "./rebuild/main.ts"
import { measureServers } from "./servers/main.ts"

const { values } = parseArgs({
  options: {
    millions: { type: "string" },
    servers: { type: "boolean", default: false },
    peers: { type: "boolean", default: false },
    rebuild: { type: "boolean", default: false },
  },
})

/** Measures in a process of its own, whose memory is then known. */
const runScript = (name: string, millions: number): unknown => {
  const script = fileURLToPath(new URL(name, import.meta.url))
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

const onServers = values.servers || values.peers || values.rebuild

const sizes = (values.millions ?? (onServers ? "1" : "0.1,1,5")).split(",").map(Number)

const measure = async () => {
  if (!onServers) return { codec: measureCodec(), scale: sizes.map((millions) => runScript("scale.ts", millions)) }
  if (values.rebuild) {
    const runs: Array<unknown> = []
    for (const millions of sizes) {
      const servers = await measureRebuild(Math.round(millions * 1e6))
      runs.push({ servers, embedded: runScript("rebuild/embedded.ts", millions) })
    }
    return { rebuild: runs }
  }
  const runs: Array<unknown> = []
  for (const millions of sizes) runs.push(await measureServers(Math.round(millions * 1e6), { peers: values.peers }))
  return { servers: runs }
}

console.log(JSON.stringify({ machine, ...(await measure()) }, null, 2))
