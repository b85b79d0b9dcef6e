import { expect, test } from "vitest"
import { runChaos } from "../../bench/chaos/run.ts"
import { holds } from "../../bench/chaos/Ledger.ts"

/** A short run of `npm run chaos`; docs/reference/chaos.md says what it does. */
test("a minute of faults: nothing is lost, nothing counts twice, every cell is the oracle's", async () => {
  const seed = Number(process.env["TIDEMARK_TEST_SEED"] ?? Date.now() % 1_000_000)
  const said: Array<string> = []
  const report = await runChaos({ seed, seconds: 45, faultsMin: 15, say: (line) => said.push(line) })
  const context = `seed ${seed}: ${JSON.stringify(report)}\n${said.join("\n")}`
  expect(report.problems, context).toEqual([])
  expect(report.faults).toBeGreaterThanOrEqual(15)
  expect(report.cells).toBeGreaterThan(100)
  const last = report.balances.at(-1)!
  expect(holds(last)).toBe(true)
  expect(last).toMatchObject({ lost: 0, double: 0 })
  expect(last.acknowledged).toBeGreaterThan(1000)
  expect(last.duplicates).toBeGreaterThan(0)
}, 600_000)
