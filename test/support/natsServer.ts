import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** Whether every thread of a process is stopped, as far as the system tells. */
const standsStill = (pid: number): boolean => {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.every((id) => /\) [TZ] /.test(readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8")))
  } catch {
    return true
  }
}

/** A server of its own for a test, with its store in a temporary directory. */
export interface NatsServer {
  /** `nats://127.0.0.1:port`; the port stays the same over restarts. */
  readonly url: string
  readonly port: number
  /** Where JetStream keeps its files. */
  readonly storeDirectory: string
  /** The last lines that it wrote to its log since it was started. */
  readonly log: () => string
  /** Ends it as an operator would, with all written. */
  readonly stop: () => Promise<void>
  /** Ends it as a crash would. */
  readonly kill: () => Promise<void>
  /** Stops it in mid-air: connections stay, nothing is answered. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Starts it again after `stop` or `kill`, on the same port and store. */
  readonly start: () => Promise<void>
  /** Ends it for good and removes its directory. */
  readonly close: () => Promise<void>
}

export interface NatsServerOptions {
  /** More lines of configuration: authorization, tls, limits. `$DIR` is the server's directory. */
  readonly config?: string
  /** Lines within `jetstream { }`; null for a server without JetStream. */
  readonly jetstream?: string | null
  /** Another program to run in place of the nats-server that is found. */
  readonly program?: string
}

/** The nats-server of this machine, or an error that says what to install. */
export const findNatsServer = (): string => {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"]
  const found = directories.map((directory) => join(directory, "nats-server")).find((path) => existsSync(path))
  if (found === undefined) {
    throw new Error("These tests need a nats-server, and there is none; install it: apt-get install nats-server")
  }
  return found
}

/** Children that still run; none outlives the test process. */
const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** A port that nobody listens on now. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject()))
    })
  })

/** Starts a server and returns when it takes connections. */
export const startNatsServer = async (options: NatsServerOptions = {}): Promise<NatsServer> => {
  const port = await freePort()
  const server = makeServer(port, (directory) => configOf(port, directory, options), options.program)
  try {
    await server.start()
  } catch (cause) {
    await server.close()
    throw cause
  }
  return server
}

/**
 * Starts servers that form one cluster; a test that needs a leader waits for one by asking. With `advertise: false` they
 * don't tell clients of each other, so that a client stays with the addresses that it was given, such as a proxy's.
 */
export const startNatsCluster = async (
  size: number,
  { advertise = true }: { readonly advertise?: boolean } = {},
): Promise<ReadonlyArray<NatsServer>> => {
  const ports: Array<number> = []
  const routes: Array<number> = []
  for (let n = 0; n < size; n++) {
    ports.push(await freePort())
    routes.push(await freePort())
  }
  const servers = ports.map((port, n) =>
    makeServer(port, (directory) => {
      const others = routes.map((route) => `"nats://127.0.0.1:${route}"`).join(", ")
      const silence = advertise ? "" : ", no_advertise: true"
      const cluster = `cluster { name: test, listen: "127.0.0.1:${routes[n]}", routes: [${others}]${silence} }`
      return configOf(port, directory, { config: cluster }, `server_${n}`)
    }),
  )
  await Promise.all(servers.map((server) => server.start()))
  return servers
}

const configOf = (port: number, directory: string, options: NatsServerOptions, name = "server"): string => {
  const { config = "", jetstream = "" } = options
  const store = join(directory, "store")
  return [
    `listen: "127.0.0.1:${port}"`,
    `server_name: ${name}`,
    ...(jetstream === null ? [] : [`jetstream { store_dir: "${store}"\n${jetstream}\n}`]),
    config.replaceAll("$DIR", directory),
  ].join("\n")
}

const makeServer = (port: number, config: (directory: string) => string, program?: string): NatsServer => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-nats-"))
  const configFile = join(directory, "server.conf")
  let child: ChildProcess | null = null
  let log = ""

  const start = async (): Promise<void> => {
    writeFileSync(configFile, config(directory))
    const started = spawn(program ?? findNatsServer(), ["--config", configFile], {
      stdio: ["ignore", "ignore", "pipe"],
    })
    child = started
    running.add(started)
    log = ""
    await new Promise<void>((resolve, reject) => {
      started.once("error", reject)
      started.once("exit", (code) => {
        running.delete(started)
        reject(new Error(`nats-server ended with ${code}: ${log}`))
      })
      started.stderr.on("data", (data: Buffer) => {
        log = (log + data.toString()).slice(-10_000)
        if (log.includes("Server is ready")) resolve()
      })
    })
  }

  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    const ending = child
    child = null
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return
    const gone = new Promise((resolve) => ending.once("exit", resolve))
    ending.kill(signal)
    await gone
  }

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    storeDirectory: join(directory, "store"),
    log: () => log,
    start,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    freeze: () => {
      child?.kill("SIGSTOP")
      // On a busy machine its threads go on for a moment, long enough to answer.
      const pid = child?.pid
      if (pid === undefined) return
      while (!standsStill(pid)) continue
    },
    thaw: () => void child?.kill("SIGCONT"),
    close: async () => {
      await end("SIGKILL")
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
