/**
 * Measures the embedded default and prints JSON. Ratios are within this run; rates depend on the machine. Asserts
 * nothing about time.
 *
 *     npm run bench                      codec, then 0.1, 1 and 5 million events, each in a process of its own
 *     npm run bench -- --millions 0.1,1  other sizes
 */
import { spawnSync } from "node:child_process"
import { cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { measureCodec } from "./codec.ts"

const { values } = parseArgs({ options: { millions: { type: "string", default: "0.1,1,5" } } })

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

const result = {
  machine: {
    node: process.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  },
  codec: measureCodec(),
  scale: values.millions.split(",").map((millions) => runScale(Number(millions))),
}
console.log(JSON.stringify(result, null, 2))
