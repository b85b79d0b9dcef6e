import type { NatsReport } from "../../infra/nats/inspectNats.ts"
import { canSyncEveryWrite, OLDEST_SERVER } from "../../infra/nats/serverVersion.ts"
import { type Finding, MIB, ok, warning } from "./Finding.ts"

/** Of what may be stored, so much should be free. */
const FREE_SHARE = 0.2

/** Every batch is sent again for less than this, so the server must know its id for longer. */
const DEDUPE_SECONDS = 120

/** What a report of NATS means. What can't hold a log at all was refused when the log was opened. */
export const natsFindings = (report: NatsReport): ReadonlyArray<Finding> => [
  ok("NATS", `version ${report.version} at ${report.server}; ${OLDEST_SERVER} is the oldest that will do`),
  replication(report),
  syncing(report),
  dedupe(report),
  room(report),
  ...(report.maxAgeSeconds === null
    ? [ok("NATS retention", "the log is kept for ever, so every number can be made anew from it")]
    : [
        warning(
          "NATS retention",
          `records are removed after ${Math.round(report.maxAgeSeconds / 3600)} h: a rebuild makes the numbers of what is left, so keep a copy of what is older, or take the limit off (nats stream edit ${report.stream} --max-age=-1)`,
        ),
      ]),
]

const syncing = ({ version }: NatsReport): Finding => {
  const remedy = canSyncEveryWrite(version)
    ? "a client can't see it: look for jetstream { sync_interval: always } in the servers' configuration. By default a server syncs"
    : `version ${version} can't sync every write; upgrade to 2.10 or newer, and set jetstream { sync_interval: always } there. This one syncs`
  return warning(
    "NATS fsync",
    `${remedy} every two minutes, and a power cut of all replicas at once loses what was acknowledged since; Tidemark finds that, and can't bring it back`,
  )
}

const replication = ({ stream, controlStream, replicas, servers, behind }: NatsReport): Finding => {
  const check = "NATS replication"
  if (behind.length > 0) {
    return warning(
      check,
      `${replicas} copies, and ${behind.join(", ")} ${behind.length === 1 ? "is" : "are"} away or behind: with one more failure the log can't be written. See "nats stream info ${stream}" and the logs of these servers`,
    )
  }
  if (replicas >= 3) return ok(check, `${replicas} copies, all in step`)
  const edits = `"nats stream edit ${stream} --replicas=3" and the same for ${controlStream}`
  const remedy = servers >= 3 ? `${edits} make three` : `Run a cluster of three servers, then ${edits}`
  return warning(
    check,
    `${replicas === 1 ? "one copy (R1)" : `${replicas} copies`}: while its server is away nothing can be appended or read, and if its disk is lost the log is lost, and with it every number. ${remedy}`,
  )
}

const dedupe = ({ dedupeSeconds, stream }: NatsReport): Finding =>
  dedupeSeconds > 15 * 60
    ? warning(
        "NATS dedupe window",
        `${dedupeSeconds} s: the server keeps the id of every batch in memory for so long, and ${DEDUPE_SECONDS} s are enough, since events are deduplicated by Tidemark. "nats stream edit ${stream} --dupe-window=2m"`,
      )
    : ok("NATS dedupe window", `${dedupeSeconds} s; a batch is sent again for less than that`)

const room = ({ discard, maxBytes, bytes, records, account, stream }: NatsReport): Finding => {
  const check = "NATS room"
  const held = `${records} records, ${mib(bytes)}`
  const bounds = [
    ...(maxBytes === null
      ? []
      : [{ of: `the stream's max_bytes (${mib(maxBytes)})`, free: maxBytes - bytes, all: maxBytes }]),
    ...(account.maxBytes === null
      ? []
      : [
          {
            of: `the account's storage (${mib(account.maxBytes)})`,
            free: account.maxBytes - account.bytes,
            all: account.maxBytes,
          },
        ]),
  ]
  const tight = bounds.find(({ free, all }) => free < all * FREE_SHARE)
  if (tight !== undefined) {
    return warning(
      check,
      `${held}; ${mib(Math.max(0, tight.free))} are left of ${tight.of}. When it is full, appends are refused and nothing old is dropped (discard ${discard}); raise it ("nats stream edit ${stream} --max-bytes=…"), or the account's limit`,
    )
  }
  return ok(
    check,
    bounds.length === 0
      ? `${held}; no limit but the servers' disks, which a client can't see: watch them, a full disk refuses appends`
      : `${held}; ${bounds.map(({ of, free }) => `${mib(free)} left of ${of}`).join(", ")}`,
  )
}

const mib = (bytes: number): string => `${Math.floor(bytes / MIB)} MiB`
