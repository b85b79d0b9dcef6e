/**
 * The program, loaded once: runs the commands that it is sent one after another, each as a process of its own would. What
 * it prints goes to its standard output and error; the answer is how the command ended.
 *
 * It ends when who started it is gone.
 */
import { enableCompileCache } from "node:module"
import { Readable } from "node:stream"
import { heldByProcess, leftSince } from "./leftovers.ts"
import type { WarmCommand, WarmEnd } from "./warmProgram.ts"

// As main.ts does it, before anything of the program is loaded.
enableCompileCache()
const loading = Promise.all([
  import("effect"),
  import("../../src/app/cli/runCommand.ts"),
  import("../../src/app/cli/report.ts"),
])

const environment = { ...process.env }
const directory = process.cwd()

process.on("message", (command: WarmCommand) => void run(command).then((end) => process.send!(end)))
process.on("disconnect", () => process.exit())

const run = async ({ args, env, cwd, stdin }: WarmCommand): Promise<WarmEnd> => {
  const [{ Effect }, { runCommand }, { teardown }] = await loading
  const before = heldByProcess()
  surround(env, cwd, stdin)
  const exit = await Effect.runPromiseExit(runCommand(args))
  let code = 0
  teardown(exit, (ofExit) => (code = ofExit))
  // What a process of its own would end with that ends by itself.
  if (code === 0) code = Number(process.exitCode ?? 0)
  process.exitCode = undefined
  surround(environment, directory, new Uint8Array())
  return { code, left: await leftSince(before) }
}

/** Puts this process where a command is to run: its environment, its directory, its standard input, and nothing of another's. */
const surround = (env: NodeJS.ProcessEnv, cwd: string, stdin: Uint8Array): void => {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name]
  Object.assign(process.env, env)
  process.chdir(cwd)
  const input = Readable.from(stdin.length === 0 ? [] : [Buffer.from(stdin)])
  Object.defineProperty(process, "stdin", { value: input, configurable: true })
}
