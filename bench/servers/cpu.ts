import { readFileSync } from "node:fs"
import { spawnSync } from "node:child_process"

/** Processor time, s; `null` where the system doesn't tell. It says what bounds a rate, also while others use the machine. */
export interface CpuSeconds {
  readonly node: number
  readonly postgres: number | null
}

/** The unit of /proc: Linux has a hundred of them in a second for every program. */
const TICKS = 100

export const cpuOfThis = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Of a process, its children, and those of its children that have ended. */
export const cpuOfFamily = (pid: number): number | null => {
  try {
    const children = spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" })
      .stdout.split("\n")
      .filter(Boolean)
    const ticks = [String(pid), ...children].map((id) => {
      const [utime, stime, cutime, cstime] = readFileSync(`/proc/${id}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")
        .slice(11, 15)
        .map(Number)
      return utime! + stime! + (id === String(pid) ? cutime! + cstime! : 0)
    })
    return ticks.reduce((sum, each) => sum + each, 0) / TICKS
  } catch {
    return null
  }
}

/** What was used between two moments, each rounded to a tenth of a second. */
export const cpuBetween = (from: CpuSeconds, to: CpuSeconds): CpuSeconds => ({
  node: Number((to.node - from.node).toFixed(1)),
  postgres: from.postgres === null || to.postgres === null ? null : Number((to.postgres - from.postgres).toFixed(1)),
})
