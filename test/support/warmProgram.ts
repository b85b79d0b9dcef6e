import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { cleanEnv, NODE_FLAGS } from "./node.ts"

const MAIN = fileURLToPath(new URL("./warmMain.ts", import.meta.url))

/** A command as it is sent to the program. */
export interface WarmCommand {
  readonly args: ReadonlyArray<string>
  /** The whole of its environment. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdin: Uint8Array
}

/** How a command ended, as the program answers it. */
export interface WarmEnd {
  readonly code: number
  /** What the command left open in the process. */
  readonly left: ReadonlyArray<string>
}

export interface WarmRan {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** One process that runs command after command, for tests to which the start of a process is no matter. */
export interface WarmProgram {
  readonly isBusy: () => boolean
  /** Runs a command. Fails when the process dies of it, or when the command leaves something behind. */
  readonly run: (command: WarmCommand) => Promise<WarmRan>
  /** Ends the process. Fails when it had died. */
  readonly end: () => Promise<void>
}

export const startWarmProgram = (): WarmProgram => {
  const stdout = openOutput()
  const stderr = openOutput()
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN], {
    stdio: ["ignore", stdout.descriptor, stderr.descriptor, "ipc"],
    serialization: "advanced",
    env: cleanEnv(),
  })
  const ended = once(child, "exit")
  const died = ended.then(([code, signal]) => {
    throw new Error(`The warm program died (${signal ?? `code ${code}`}). It said: ${stderr.take()}`)
  })
  // Whoever runs a command or ends the process hears of it.
  died.catch(() => undefined)
  let busy = false

  const expectAlive = async () => {
    if (child.exitCode !== null || child.signalCode !== null) await died
  }
  /** What a command says after it has ended belongs to none. */
  const expectSilence = () => {
    const said = stdout.take() + stderr.take()
    if (said !== "") throw new Error(`The warm program went on after a command had ended. It said: ${said}`)
  }

  return {
    isBusy: () => busy,
    run: async (command) => {
      busy = true
      try {
        await expectAlive()
        expectSilence()
        const answer = once(child, "message")
        child.send(command)
        const [{ code, left }] = (await Promise.race([answer, died])) as [WarmEnd]
        const ran = { code, stdout: stdout.take(), stderr: stderr.take() }
        if (left.length === 0) return ran
        throw new Error(`"tidemark ${command.args.join(" ")}" left something behind: ${left.join(", ")}`)
      } finally {
        busy = false
      }
    },
    end: async () => {
      await expectAlive()
      child.disconnect()
      await ended
      expectSilence()
      stdout.close()
      stderr.close()
    },
  }
}

/** What a process prints: a file without a name, so that all of it is there when the process says that it is. */
interface Output {
  readonly descriptor: number
  /** What was printed since it was last taken. */
  readonly take: () => string
  readonly close: () => void
}

const openOutput = (): Output => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-output-"))
  // Both processes write at its end, wherever that is.
  const descriptor = openSync(join(directory, "output"), "a+")
  rmSync(directory, { recursive: true })
  return {
    descriptor,
    take: () => {
      const bytes = Buffer.alloc(fstatSync(descriptor).size)
      readSync(descriptor, bytes, 0, bytes.length, 0)
      ftruncateSync(descriptor)
      return bytes.toString("utf8")
    },
    close: () => closeSync(descriptor),
  }
}
