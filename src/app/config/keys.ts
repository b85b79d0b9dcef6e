/** How the text of a key is read. */
export type KeyKind =
  | { readonly kind: "text" }
  | { readonly kind: "secret" }
  | { readonly kind: "whole"; readonly from: number; readonly to: number }
  | { readonly kind: "bytes" }
  | { readonly kind: "url" }
  | { readonly kind: "choice"; readonly of: ReadonlyArray<string> }

const text = { kind: "text" } as const
const secret = { kind: "secret" } as const
const whole = (from: number, to: number) => ({ kind: "whole", from, to }) as const

/**
 * All keys of the configuration by their path in the file; the name in the environment follows from it (`nameInEnvironment`).
 *
 * Documented in docs/reference/configuration.md; a test compares.
 */
export const KEYS = {
  dir: text,
  project: text,
  partitions: whole(1, 256),
  replicas: whole(1, 5),
  "nats.url": secret,
  "nats.creds": text,
  "nats.nkey": text,
  "nats.token": secret,
  "nats.ca": text,
  "nats.cert": text,
  "nats.key": text,
  "postgres.url": secret,
  "postgres.schema": text,
  "postgres.pool": whole(1, 1000),
  "spool.dir": text,
  "spool.bytes": { kind: "bytes" },
  "asof.dir": text,
  "http.host": text,
  "http.port": whole(0, 65_535),
  "ready.lag": whole(1, 30 * 86_400),
  "otlp.url": { kind: "url" },
  "log.format": { kind: "choice", of: ["json", "text"] },
} as const satisfies Readonly<Record<string, KeyKind>>

export type Key = keyof typeof KEYS

export const KEY_NAMES = Object.keys(KEYS) as ReadonlyArray<Key>

export const isKey = (name: string): name is Key => Object.hasOwn(KEYS, name)

export const ENVIRONMENT_PREFIX = "TIDEMARK_"

/** `nats.url` → `TIDEMARK_NATS_URL`. */
export const nameInEnvironment = (key: string): string => ENVIRONMENT_PREFIX + key.toUpperCase().replaceAll(".", "_")
