import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { freePort } from "./freePort.ts"

/** Whether PgBouncer is on this machine; says in one line that the tests which need it are skipped when it isn't. */
export const hasPgBouncer = (): boolean => {
  const found = spawnSync("pgbouncer", ["--version"]).status === 0
  if (!found) console.log("skipped: PgBouncer is not there (apt-get install pgbouncer)")
  return found
}

export interface PgBouncer {
  readonly url: string
  readonly dispose: () => Promise<void>
}

/** A PgBouncer before the server at a port, that lends a server connection for one transaction. */
export const startPgBouncer = async (
  serverPort: number,
  options: { readonly serverConnections: number; readonly settings?: Readonly<Record<string, string>> },
): Promise<PgBouncer> => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-pgbouncer-"))
  chmodSync(directory, 0o755)
  const port = await freePort()
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: "transaction",
    default_pool_size: options.serverConnections,
    ...options.settings,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  const file = join(directory, "pgbouncer.ini")
  writeFileSync(
    file,
    ["[databases]", `postgres = host=127.0.0.1 port=${serverPort} user=postgres`, "[pgbouncer]", ...lines, ""].join(
      "\n",
    ),
  )
  // It refuses to run as root.
  const asUser = process.getuid?.() === 0 ? ["-u", "nobody"] : []
  const process_: ChildProcess = spawn("pgbouncer", [...asUser, file], { stdio: ["ignore", "ignore", "pipe"] })
  const said: Array<string> = []
  const ready = Promise.withResolvers<void>()
  createInterface(process_.stderr!).on("line", (line) => {
    said.push(line)
    if (line.includes("process up")) ready.resolve()
  })
  process_.on("exit", () => ready.reject(new Error(`PgBouncer did not start: ${said.join("\n")}`)))
  await ready.promise
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    dispose: async () => {
      process_.kill("SIGKILL")
      await once(process_, "exit")
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
