/**
 * The one test command: the servers that the tests start, every check, then every test. Ends with a line `N passed, N failed, N skipped`, in which each
 * check counts as one.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findServers } from "./servers.ts"

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
}

const lacking = findServers()
if (lacking !== null) console.log(lacking)

const checks = spawnSync("node", ["scripts/check.ts"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
process.stdout.write(checks.stdout)
const passedChecks = checks.stdout.match(/^check .*: passed$/gm)?.length ?? 0
const failedChecks = checks.stdout.match(/^check .*: FAILED/gm)?.length ?? 0

const directory = mkdtempSync(join(tmpdir(), "tidemark-ci-"))
const report = join(directory, "report.json")
const tests = spawnSync("vitest", ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`], {
  stdio: "inherit",
})
let outcome: VitestReport
try {
  outcome = JSON.parse(readFileSync(report, "utf8")) as VitestReport
} catch {
  // No report: the runner itself broke, which must never look like a pass.
  outcome = { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, numTodoTests: 0, success: false }
}
rmSync(directory, { recursive: true, force: true })

const passed = passedChecks + outcome.numPassedTests
// A file that can't even be loaded fails the run without failing a test.
const brokenRun = tests.status === 0 ? 0 : Math.max(1, outcome.numFailedTests)
const brokenChecks = checks.status === 0 ? 0 : Math.max(1, failedChecks)
const failed = brokenChecks + brokenRun + (lacking === null ? 0 : 1)
console.log(`${passed} passed, ${failed} failed, ${outcome.numPendingTests + outcome.numTodoTests} skipped`)
process.exitCode = failed === 0 ? 0 : 1
