import { type ChildProcess, spawn } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { isMainThread } from "node:worker_threads"
import { expect } from "vitest"
import { cleanEnv, NODE_FLAGS } from "./node.ts"
import { startWarmProgram, type WarmProgram } from "./warmProgram.ts"

/** The real program, run without a shell. */
const MAIN = fileURLToPath(new URL("../../src/app/cli/main.ts", import.meta.url))

export interface Ran {
  readonly args: ReadonlyArray<string>
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly millis: number
}

export interface RunOptions {
  readonly stdin?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Run by a process of its own, for tests that are about one. */
  readonly fresh?: boolean
  /** Called when the process is there, to kill it or to watch it. */
  readonly onStart?: (child: ChildProcess) => void
}

export const startNode = (script: string, args: ReadonlyArray<string>, options: RunOptions = {}): ChildProcess =>
  spawn(process.execPath, [...NODE_FLAGS, script, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...cleanEnv(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })

/** Runs the command line to its end: in the program that is loaded already, or else as a process of its own. */
export const tidemark = (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<Ran> =>
  needsProcess(args, options) ? runFresh(args, options) : runWarm(args, options)

/** Loading the program takes most of a short command's time, so the commands of a test file share a process where they can. */
let warm: WarmProgram | undefined

let everyFresh = false

/** Ends it after a test file, which fails when the program has died or says more. */
export const endWarmProgram = async (): Promise<void> => {
  const ending = warm?.end()
  warm = undefined
  everyFresh = false
  await ending
}

/** Makes every command of this test file a process of its own. */
export const runEveryFresh = (): void => {
  everyFresh = true
}

const needsProcess = (args: ReadonlyArray<string>, { fresh, onStart }: RunOptions): boolean =>
  // Two commands at once are two processes, as they are for everybody else.
  everyFresh || fresh === true || onStart !== undefined || warm?.isBusy() === true || mayRunForEver(args)

const mayRunForEver = (args: ReadonlyArray<string>): boolean =>
  (args.includes("project") && !args.includes("--once")) || args.includes("--watch") || args.includes("-w")

const runWarm = async (args: ReadonlyArray<string>, options: RunOptions): Promise<Ran> => {
  const started = performance.now()
  warm ??= startWarmProgram()
  const ran = await warm.run({
    args,
    env: { ...cleanEnv(), ...options.env },
    cwd: options.cwd ?? process.cwd(),
    stdin: Buffer.from(options.stdin ?? ""),
  })
  return { args, signal: null, ...ran, millis: performance.now() - started }
}

const runFresh = (args: ReadonlyArray<string>, options: RunOptions): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    const child = startNode(MAIN, args, options)
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout!.on("data", (block: Buffer) => out.push(block))
    child.stderr!.on("data", (block: Buffer) => err.push(block))
    // A program that has said no does not read its input.
    child.stdin!.on("error", () => undefined)
    if (options.stdin !== undefined) child.stdin!.end(options.stdin)
    else if (options.onStart === undefined) child.stdin!.end()
    child.on("error", reject)
    child.on("close", (code, signal) =>
      resolve({
        args,
        code,
        signal,
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
        millis: performance.now() - started,
      }),
    )
    options.onStart?.(child)
  })

/** Lines that say how far long work is: the slower the machine, the more there are. */
const PROGRESS = /^(?:\{"progress":.*\}|(?:Projecting|Building|Counting persons) .*\/s.*)\n/gm

/** Standard error without how far the work was. */
const saidBy = (ran: Ran): string => ran.stderr.replace(PROGRESS, "")

/** Runs a command that has to succeed; its standard output. */
export const ok = async (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<string> => {
  const ran = await tidemark(args, options)
  expect({ args, code: ran.code, signal: ran.signal, stderr: saidBy(ran) }).toEqual({
    args,
    code: 0,
    signal: null,
    stderr: "",
  })
  return ran.stdout
}

/** Runs a command with `--json` that has to succeed, and reads its standard output, which has to be JSON and no more. */
export const okJson = async (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<any> =>
  JSON.parse(await ok([...args, "--json"], options))

// oxlint-disable-next-line no-control-regex -- control characters are the point
const RAW_CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

/** Nothing in a text may drive a terminal. */
export const expectHarmless = (text: string): void => {
  expect(RAW_CONTROL.exec(text)).toBeNull()
}

/** Checks that a run was refused in a sentence, not in a dump; that sentence, in one line. */
export const refusal = (ran: Ran, code: number): string => {
  expect({ args: ran.args, code: ran.code, signal: ran.signal, stderr: ran.stderr }).toMatchObject({
    args: ran.args,
    code,
    signal: null,
  })
  const [head, ...lines] = saidBy(ran).trim().split("\n")
  expect(head).toMatch(/^ERRORS?$/)
  const sentence = lines.join(" ").replace(/\s+/g, " ").trim()
  expect(sentence.length).toBeGreaterThan(10)
  expect(ran.stderr).not.toMatch(/^\s+at .*(?:\(|:\d+:\d+)/m)
  expect(ran.stderr).not.toMatch(/\w*Error:|node:internal|\[object |\bundefined\b(?!")|\bNaN\b/)
  expectHarmless(ran.stderr)
  if (ran.args.includes("--json") && ran.stdout !== "") JSON.parse(ran.stdout)
  return sentence
}

/** Runs a command that has to be refused with an exit code; the sentence. */
export const refused = async (code: number, args: ReadonlyArray<string>, options: RunOptions = {}): Promise<string> =>
  refusal(await tidemark(args, options), code)

/** A temporary directory of a test file. */
export interface Scratch {
  readonly path: (...names: ReadonlyArray<string>) => string
  /** Writes a file of lines. */
  readonly write: (name: string, content: string | Buffer | ReadonlyArray<unknown>) => string
  /** A new store: a copy of an empty one, since making one takes seconds. */
  readonly store: (name: string) => Promise<string>
  /** A copy of a store that no process has open. */
  readonly copy: (from: string, name: string) => string
  readonly remove: () => void
}

/** What is given as a list becomes NDJSON: objects as JSON, strings as they are. */
const contentOf = (content: string | Buffer | ReadonlyArray<unknown>): string | Buffer =>
  typeof content === "string" || Buffer.isBuffer(content)
    ? content
    : content.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("")

export const scratch = (): Scratch => {
  const root = mkdtempSync(join(tmpdir(), "tidemark-cli-"))
  const path = (...names: ReadonlyArray<string>) => join(root, ...names)
  const copy = (from: string, name: string) => {
    cpSync(from, path(name), { recursive: true })
    return path(name)
  }
  return {
    path,
    copy,
    write: (name, content) => {
      writeFileSync(path(name), contentOf(content))
      return path(name)
    },
    store: async (name) => copy(await emptyStore(), name),
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Where the test files of one run share an empty store; named after the runner's process, since each file has its own. */
const SHARED_PREFIX = "tidemark-empty-store-"

/** The directory of an empty, closed store, made once for all test files of a run. */
export const emptyStore = async (): Promise<string> => {
  const shared = join(tmpdir(), `${SHARED_PREFIX}${isMainThread ? process.ppid : process.pid}`)
  const ready = join(shared, "store")
  for (;;) {
    if (existsSync(ready)) return ready
    try {
      mkdirSync(shared)
    } catch {
      // Another test file is at it.
      await sleep(100)
      continue
    }
    removeOfEndedRuns()
    const making = join(shared, "making")
    try {
      await ok(["import", "-", "--dir", making], { fresh: true })
      renameSync(making, ready)
    } catch (cause) {
      rmSync(shared, { recursive: true, force: true })
      throw cause
    }
    return ready
  }
}

const removeOfEndedRuns = (): void => {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(SHARED_PREFIX)) continue
    const pid = Number(name.slice(SHARED_PREFIX.length))
    try {
      process.kill(pid, 0)
    } catch {
      rmSync(join(tmpdir(), name), { recursive: true, force: true })
    }
  }
}
