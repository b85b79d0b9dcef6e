import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"

/** A process that is started again when it ends, as an operator's system does. */
export interface Supervised {
  readonly kill: () => Promise<void>
  readonly start: () => void
  readonly freeze: () => void
  readonly thaw: () => void
  /** Ends it as an operator would; gives its exit code. */
  readonly stop: () => Promise<number | null>
  readonly say: (line: string) => void
  /** What it said last before each time that it ended unasked. */
  readonly ended: ReadonlyArray<string>
}

const RESTART_MILLIS = 1000

const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

export const supervise = (
  argumentsOf: () => ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>,
  onLine: (line: string) => void = () => {},
): Supervised => {
  let child: ChildProcess | null = null
  let wanted = false
  const ended: Array<string> = []

  const start = () => {
    wanted = true
    if (child !== null) return
    const started = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...argumentsOf()], {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
      stdio: ["pipe", "pipe", "pipe"],
    })
    child = started
    running.add(started)
    let said = ""
    let line = ""
    started.stdin.on("error", () => {})
    const keep = (data: Buffer) => {
      said = (said + data.toString("utf8")).slice(-2000)
    }
    started.stdout.on("data", keep).on("data", (data: Buffer) => {
      const lines = (line + data.toString("utf8")).split("\n")
      line = lines.pop()!
      lines.forEach(onLine)
    })
    started.stderr.on("data", keep)
    started.on("exit", (code, signal) => {
      running.delete(started)
      if (child !== started) return
      child = null
      if (!wanted) return
      ended.push(`${code ?? signal}: ${said.trim()}`)
      setTimeout(() => wanted && start(), RESTART_MILLIS)
    })
  }

  const end = async (signal: NodeJS.Signals) => {
    wanted = false
    const ending = child
    if (ending === null) return null
    const exit = once(ending, "exit")
    ending.kill(signal)
    const [code] = (await exit) as [number | null]
    child = null
    return code
  }

  return {
    start,
    kill: async () => void (await end("SIGKILL")),
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    stop: () => end("SIGTERM"),
    say: (line) => void child?.stdin?.write(`${line}\n`),
    ended,
  }
}
