import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { createInterface } from "node:readline"
import pg from "pg"
import { eventually } from "./eventually.ts"
import { freePort } from "./freePort.ts"

export interface PostgresServerOptions {
  /** How roles are let in. Default `trust`; with `password`, {@link PASSWORD} is the superuser's. */
  readonly auth?: "trust" | "password"
  /** Whether a commit survives the machine; off is faster. Default on. A killed process loses nothing either way. */
  readonly fsync?: boolean
  /** More settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** A PostgreSQL of the test's own, in a temporary directory, on a free port. */
export interface PostgresServer {
  readonly port: number
  /** Of its first process, the parent of all others; 0 while it is stopped. */
  readonly pid: () => number
  /** The address of a database of it; by default its only one, as its superuser. */
  readonly url: (as?: { readonly user?: string; readonly password?: string; readonly database?: string }) => string
  /** Runs a statement as the superuser, on a connection of its own. */
  readonly query: (sql: string, database?: string) => Promise<ReadonlyArray<any>>
  readonly start: () => Promise<void>
  /** Ends it as an administrator would: transactions are rolled back, connections closed. */
  readonly stop: () => Promise<void>
  /** Ends it as a power cut would. */
  readonly kill: () => Promise<void>
  readonly restart: () => Promise<void>
  /** Copies its files, which takes a stop and a start. */
  readonly copy: () => Promise<void>
  /** Stops it, puts the copy back, and starts it again. */
  readonly putBack: () => Promise<void>
  /** Stops every process of it in its tracks: connections stay open, nothing answers. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Kills it and removes its files. */
  readonly dispose: () => Promise<void>
}

export const SUPERUSER = "postgres"
export const PASSWORD = "swordfish: it's \\ % / @ fine"

/** PostgreSQL refuses to run as root, so root starts it as one of these. */
const UNPRIVILEGED = ["postgres", "nobody"]

export const startPostgres = async (options: PostgresServerOptions = {}): Promise<PostgresServer> => {
  const binaries = findPostgres()
  const owner = findOwner()
  const directory = mkdtempSync(join(tmpdir(), "tidemark-postgres-"))
  const data = join(directory, "data")
  const copied = join(directory, "copied")
  const port = await freePort()
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid)

  const auth = options.auth ?? "trust"
  const passwordFile = join(directory, "password")
  writeFileSync(passwordFile, `${PASSWORD}\n`)
  const made = spawnSync(
    join(binaries, "initdb"),
    [
      "-D",
      data,
      "-U",
      SUPERUSER,
      "-E",
      "UTF8",
      "--no-locale",
      "--no-sync",
      "-A",
      auth === "trust" ? auth : "scram-sha-256",
    ].concat(["--pwfile", passwordFile]),
    { ...owner, cwd: directory, encoding: "utf8" },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)

  const settings = {
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: "",
    fsync: options.fsync === false ? "off" : "on",
    shared_buffers: "32MB",
    ...options.settings,
  }
  const args = ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])]

  let server: ChildProcess | undefined

  const start = async () => {
    const starting = spawn(join(binaries, "postgres"), args, {
      ...owner,
      cwd: directory,
      stdio: ["ignore", "ignore", "pipe"],
    })
    server = starting
    const said: Array<string> = []
    const ready = Promise.withResolvers<void>()
    // Read to the end, since a full pipe would stop the server.
    createInterface(starting.stderr).on("line", (line) => {
      said.push(line)
      if (line.includes("database system is ready to accept")) ready.resolve()
    })
    starting.on("exit", () => ready.reject(new Error(`PostgreSQL did not start: ${said.join("\n")}`)))
    await ready.promise
  }

  const processes = (): ReadonlyArray<number> => {
    if (server?.pid === undefined || server.exitCode !== null || server.signalCode !== null) return []
    const children = spawnSync("pgrep", ["-P", String(server.pid)], { encoding: "utf8" }).stdout.split("\n")
    return [...children.filter((pid) => pid !== "").map(Number), server.pid]
  }

  const signalAll = (signal: NodeJS.Signals) => {
    for (const pid of processes()) {
      try {
        process.kill(pid, signal)
      } catch {
        // A backend that has just ended is as still as one that was stopped.
      }
    }
  }

  const end = async (signal: (running: ChildProcess) => void) => {
    if (server === undefined) return
    const ending = server
    server = undefined
    if (ending.exitCode !== null || ending.signalCode !== null) return
    const exit = once(ending, "exit")
    signal(ending)
    await exit
  }

  const stop = () => end((running) => running.kill("SIGINT"))

  const kill = async () => {
    // Stopped first, so that no process is born between the listing and the killing.
    server?.kill("SIGSTOP")
    const all = processes()
    signalAll("SIGKILL")
    await end(() => {})
    // Until the last of them has let go of the shared memory, no other server starts there.
    await eventually("all its processes have ended", async () => !all.some(isRunning))
  }

  const url: PostgresServer["url"] = ({ user = SUPERUSER, password, database = "postgres" } = {}) => {
    const secret = password ?? (auth === "password" && user === SUPERUSER ? PASSWORD : undefined)
    const credentials = encodeURIComponent(user) + (secret === undefined ? "" : `:${encodeURIComponent(secret)}`)
    return `postgres://${credentials}@127.0.0.1:${port}/${encodeURIComponent(database)}`
  }

  // None outlives the process that started it.
  const abandon = () => void server?.kill("SIGQUIT")
  process.on("exit", abandon)

  await start()
  return {
    port,
    pid: () => server?.pid ?? 0,
    url,
    query: async (sql, database) => {
      const client = new pg.Client(url(database === undefined ? {} : { database }))
      // A server that is killed meanwhile fails the query; it must not also end the process.
      client.on("error", () => {})
      await client.connect()
      try {
        return (await client.query(sql)).rows
      } finally {
        await client.end()
      }
    },
    start,
    stop,
    kill,
    restart: async () => {
      await stop()
      await start()
    },
    copy: async () => {
      await stop()
      copyFiles(data, copied)
      await start()
    },
    putBack: async () => {
      await stop()
      rmSync(data, { recursive: true })
      copyFiles(copied, data)
      await start()
    },
    freeze: () => signalAll("SIGSTOP"),
    thaw: () => signalAll("SIGCONT"),
    dispose: async () => {
      await kill()
      process.removeListener("exit", abandon)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** With their owner, which PostgreSQL insists on. */
const copyFiles = (from: string, to: string): void => {
  const copied = spawnSync("cp", ["-a", from, to], { encoding: "utf8" })
  if (copied.status !== 0) throw new Error(`cp failed: ${copied.stderr}`)
}

/** Not ended, nor ended and waiting for somebody to take notice. */
const isRunning = (pid: number): boolean => {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()
  return state !== "" && !state.startsWith("Z")
}

/** Where `initdb` and `postgres` are: as told, on the path, or where packages put them, the newest first. */
export const findPostgres = (): string => {
  const told = process.env["TIDEMARK_TEST_POSTGRES"]
  const places = [
    ...(told === undefined ? [] : [told]),
    ...(process.env["PATH"] ?? "").split(delimiter),
    ...["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]
      .filter((root) => existsSync(root))
      .flatMap((root) => readdirSync(root).map((name) => join(root, name, "bin")))
      .sort()
      .reverse(),
  ]
  const found = places.find((place) => existsSync(join(place, "initdb")) && existsSync(join(place, "postgres")))
  if (found === undefined) {
    throw new Error(
      "No PostgreSQL on this machine: install one (apt-get install postgresql); these tests start their own.",
    )
  }
  return found
}

const findOwner = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, user: string) => Number(spawnSync("id", [flag, user], { encoding: "utf8" }).stdout)
  const user = UNPRIVILEGED.find((name) => spawnSync("id", [name]).status === 0)
  if (user === undefined) throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody.")
  return { uid: id("-u", user), gid: id("-g", user) }
}
