/**
 * Three workers, a log in a cluster of three, and PostgreSQL under random faults; ends with status 1 if a number is wrong.
 * Prints JSON on standard output, what happens and a summary on standard error.
 *
 *     npm run chaos -- --minutes 10 --seed 7
 */
import { parseArgs } from "node:util"
import { runChaos } from "./run.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rate: { type: "string", default: "200" },
  },
})

// So that the servers and workers end too.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130))

const began = performance.now()
const report = await runChaos({
  seed: Number(values.seed),
  seconds: Number(values.minutes) * 60,
  rate: Number(values.rate),
  say: (line) => console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`),
})
console.log(JSON.stringify(report, null, 2))

const { faults, recovery, balances, cells, differences, problems } = report
const last = balances.at(-1)!
const millis = (value: number | null) => (value === null ? "none" : `${(value / 1000).toFixed(1)} s`)
console.error(
  [
    "",
    `${faults} faults from seed ${report.seed}; ${last.acknowledged} events acknowledged, ${last.stored} stored.`,
    `Lost ${last.lost}, double ${last.double}; ${differences} of ${cells} cells differ from the oracle's.`,
    `The balance was looked at ${balances.length} times.`,
    `Recovery: median ${millis(recovery.all.medianMillis)}, worst ${millis(recovery.all.worstMillis)} (${recovery.all.worstFault});`,
    `of ${recovery.alone.count} faults that no other met: median ${millis(recovery.alone.medianMillis)}, worst ${millis(recovery.alone.worstMillis)} (${recovery.alone.worstFault}).`,
    ...problems.map((problem) => `PROBLEM: ${problem}`),
  ].join("\n"),
)
process.exitCode = problems.length === 0 ? 0 : 1
