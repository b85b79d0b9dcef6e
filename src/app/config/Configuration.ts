import { join } from "node:path"
import { Effect } from "effect"
import type { ServersOptions } from "../servers.ts"
import { BadConfiguration } from "./errors.ts"
import { nameInEnvironment } from "./keys.ts"
import { type Environment, FILE_VARIABLE, readConfigurationFile, readEnvironment } from "./sources.ts"
import { readValues, type Values } from "./values.ts"

/** How this process is set up: where its store is, and what it tells whom. */
export interface Configuration {
  /** Where the store is when there are no servers; relative to the working directory. */
  readonly directory: string
  /** The servers that hold the log and the read model; `null` for the embedded store. */
  readonly servers: ServersOptions | null
  /** Where events wait while the log is away, and how many bytes of them at most. */
  readonly spool: { readonly directory: string; readonly maxBytes: number }
  /** Where replays for answers as of an earlier place are kept. */
  readonly asOfDirectory: string
  /** Where a worker answers for its health and its metrics; `null` for nowhere. */
  readonly http: { readonly host: string; readonly port: number } | null
  /** A worker is not ready while the oldest unprocessed event of its live partitions is older than this. */
  readonly readyLagSeconds: number
  /** Where traces and metrics are sent to; `null` for nowhere. */
  readonly otlpUrl: string | null
  /** `null`: as what standard error is asks for. */
  readonly logFormat: "json" | "text" | null
}

export interface ConfigurationSources {
  readonly environment: Environment
  /** The file that the command line names. */
  readonly file?: string | undefined
  /** The embedded store that the caller names outright, on the command line or in code. */
  readonly directory?: string | undefined
}

const DIRECTORY_DEFAULT = ".tidemark"
const READY_LAG_SECONDS_DEFAULT = 300
const SPOOL_BYTES_DEFAULT = 2 ** 30

/**
 * Reads the configuration: the environment wins over the file. A store that the caller names outright does not go with
 * servers, since what was meant for one of the two would go to the other.
 */
export const readConfiguration = Effect.fn("readConfiguration")(function* ({
  environment,
  file,
  directory,
}: ConfigurationSources) {
  const named = file ?? (environment[FILE_VARIABLE] || null)
  const fromFile = yield* readConfigurationFile(named)
  const fromEnvironment = yield* readEnvironment(environment)
  const values = yield* readValues(new Map([...fromFile, ...fromEnvironment]))
  const servers = yield* readServers(values)
  if (servers !== null && directory !== undefined) {
    return yield* new BadConfiguration({
      place: `the directory ${directory}`,
      problem: `names an embedded store, and ${nameInEnvironment("nats.url")} and ${nameInEnvironment("postgres.url")} name servers; leave one of the two out`,
    })
  }
  const home = directory ?? values.dir ?? DIRECTORY_DEFAULT
  const port = values["http.port"]
  const configuration: Configuration = {
    directory: home,
    servers,
    spool: {
      directory: values["spool.dir"] ?? join(home, "spool"),
      maxBytes: values["spool.bytes"] ?? SPOOL_BYTES_DEFAULT,
    },
    asOfDirectory: values["asof.dir"] ?? join(home, "as-of"),
    http: port === undefined ? null : { host: values["http.host"] ?? "0.0.0.0", port },
    readyLagSeconds: values["ready.lag"] ?? READY_LAG_SECONDS_DEFAULT,
    otlpUrl: values["otlp.url"] ?? null,
    logFormat: values["log.format"] ?? null,
  }
  return configuration
})

const readServers = Effect.fnUntraced(function* (values: Values) {
  const nats = values["nats.url"]
  const postgres = values["postgres.url"]
  if (nats === undefined && postgres === undefined) return null
  if (nats === undefined || postgres === undefined) {
    const [given, absent] =
      nats === undefined ? (["postgres.url", "nats.url"] as const) : (["nats.url", "postgres.url"] as const)
    return yield* new BadConfiguration({
      place: nameInEnvironment(given),
      problem: `is given without ${nameInEnvironment(absent)}: on servers the log is in NATS and the read model in PostgreSQL, so give both, or none for the embedded store`,
    })
  }
  const { project, partitions, replicas } = values
  const tls = present({ ca: values["nats.ca"], cert: values["nats.cert"], key: values["nats.key"] })
  const servers: ServersOptions = {
    nats: {
      servers: nats,
      ...(Object.keys(tls).length === 0 ? {} : { tls }),
      ...present({
        credentialsFile: values["nats.creds"],
        nkeySeedFile: values["nats.nkey"],
        token: values["nats.token"],
        project,
        partitions,
        replicas,
      }),
    },
    postgres: {
      url: postgres,
      ...present({ schema: values["postgres.schema"], poolSize: values["postgres.pool"] }),
    },
  }
  return servers
})

/** An object without the keys that have no value. */
const present = <A extends object>(object: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]?: Exclude<A[K], undefined>
  }
