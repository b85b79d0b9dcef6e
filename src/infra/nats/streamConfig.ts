import { randomUUID } from "node:crypto"
import { DiscardPolicy, RetentionPolicy, StorageType, StoreCompression, type StreamConfig } from "@nats-io/jetstream"
import { nanos, type WithRequired } from "@nats-io/transport-node"
import { Duration } from "effect"
import { CONTROL_PARTITION } from "../../domain/log/EventLog.ts"
import { PARTITIONS_MAX } from "../../domain/log/partition.ts"
import { StreamUnfit } from "./errors.ts"
import { compresses } from "./serverVersion.ts"

/** What a new stream is made with; one that exists keeps its own. */
export interface NewStream {
  /** Whether to make one when there is none. Default true. */
  readonly create?: boolean
  /** Default 16. */
  readonly partitions?: number
  /** Copies on as many servers of a cluster: 1, 3 or 5. Default 1. */
  readonly replicas?: number
  /** Most bytes that are kept; a full log refuses what is new. Default: no bound but the server's. */
  readonly maxBytes?: number
  /** Age after which records are removed at the front. Default: none is. */
  readonly maxAge?: Duration.Input
}

/** The number of partitions of a new log; a log of a few million events a day has room for that many projectors. */
export const PARTITIONS_DEFAULT = 16

/** Room for the largest batch and its headers; also what a NATS server takes unless told otherwise. */
export const RECORD_BYTES_MAX = 1024 * 1024

/** How long the server remembers the ids of batches: longer than an append is ever repeated. */
export const DUPLICATE_WINDOW = Duration.minutes(2)

/** The project whose name is not given. */
export const PROJECT_DEFAULT = "default"

/** A project's name is a part of subjects and of the stream's name. */
const PROJECT = /^[A-Za-z0-9_-]{1,64}$/

/** Whether a project can be called so. */
export const isProjectName = (project: string): boolean => PROJECT.test(project)

/**
 * A log lives in two streams: its events, and its control facts, so that what bounds the age or the size of the events
 * never takes settings and metrics away.
 */
export type StreamKind = "events" | "control"

/** No project can be called so that the two meet: its name has no place before the `_`. */
export const streamNameOf = (project: string, kind: StreamKind = "events"): string =>
  kind === "events" ? `tidemark_${project}` : `tidemark-control_${project}`

export const subjectOf = (project: string, partition: number): string =>
  `tidemark.${project}.${partition === CONTROL_PARTITION ? "control" : partition}`

/** The partition of a subject of this project. */
export const partitionOfSubject = (project: string, subject: string): number => {
  const last = subject.slice(`tidemark.${project}.`.length)
  return last === "control" ? CONTROL_PARTITION : Number(last)
}

/**
 * Every subject of a stream, one by one and no wildcard, so that the server turns away who writes to a partition that
 * nobody reads.
 */
const subjectsOf = (project: string, { partitions }: LogIdentity): ReadonlyArray<string> =>
  (partitions === null ? [CONTROL_PARTITION] : Array.from({ length: partitions }, (_, n) => n)).map((partition) =>
    subjectOf(project, partition),
  )

/** What a stream says that it is. */
export interface LogIdentity {
  /** Made with the stream of events; that of the control facts has the same. */
  readonly incarnation: string
  /** `null` for the stream of control facts. */
  readonly partitions: number | null
}

/**
 * The stream's description holds what makes it this log and no other. (Metadata would be the place, but servers have it
 * only since 2.10.)
 */
const describe = ({ incarnation, partitions }: LogIdentity): string =>
  `Tidemark log ${incarnation}, ${partitions === null ? "control facts" : `partitions: ${partitions}`}`

const DESCRIPTION = /^Tidemark log ([0-9a-f-]{36}), (?:control facts|partitions: (\d{1,3}))$/

/** Reads what a stream says that it is; null where it is none of ours. */
export const identityOf = (config: Pick<StreamConfig, "description">): LogIdentity | null => {
  const match = DESCRIPTION.exec(config.description ?? "")
  if (match === null) return null
  if (match[2] === undefined) return { incarnation: match[1]!, partitions: null }
  const partitions = Number(match[2])
  return partitions < 1 || partitions > PARTITIONS_MAX ? null : { incarnation: match[1]!, partitions }
}

const kindOf = ({ partitions }: LogIdentity): StreamKind => (partitions === null ? "control" : "events")

/** What a new log is to be called. */
export const newIdentity = ({ partitions = PARTITIONS_DEFAULT }: NewStream): LogIdentity => ({
  incarnation: randomUUID(),
  partitions,
})

/** The configuration of a stream that is made now. Bounds of size and age are for events alone. */
export const newStreamConfig = (
  project: string,
  identity: LogIdentity,
  options: NewStream,
  serverVersion: string,
): WithRequired<Partial<StreamConfig>, "name"> => {
  const kind = kindOf(identity)
  const { replicas = 1, maxBytes = -1, maxAge } = kind === "control" ? { replicas: options.replicas } : options
  return {
    name: streamNameOf(project, kind),
    description: describe(identity),
    subjects: [...subjectsOf(project, identity)],
    // What is read stays: readers keep their own positions, and many read the same records.
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    // A full log refuses what is new and never drops what is old, which somebody may not have read yet.
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    max_bytes: maxBytes,
    max_age: maxAge === undefined ? 0 : nanos(Duration.toMillis(maxAge)),
    max_msg_size: RECORD_BYTES_MAX,
    duplicate_window: nanos(Duration.toMillis(DUPLICATE_WINDOW)),
    // Not denied, since it could never be allowed again: single records must be removable, if only a stranger's.
    deny_delete: false,
    deny_purge: false,
    ...(compresses(serverVersion) ? { compression: StoreCompression.S2 } : {}),
  }
}

/** Why a part of a log can't be kept in a stream; null when it can. `incarnation`: the one it must have, if any. */
export const streamProblem = (
  project: string,
  kind: StreamKind,
  config: StreamConfig,
  incarnation?: string,
): StreamUnfit | null => {
  const unfit = (setting: string, found: unknown, needed: string, remedy: string) =>
    new StreamUnfit({ stream: config.name, setting, found: String(found), needed, remedy })
  const another = "Use another project name, or move this stream out of the way"
  const edit = (flag: string) => `Change it with "nats stream edit ${config.name} ${flag}"`
  const recreate = "It can't be changed later: copy the stream into one that has it right"

  const identity = identityOf(config)
  if (identity === null || kindOf(identity) !== kind) {
    const found = config.description === undefined ? "empty" : `"${config.description}"`
    const needed = kind === "events" ? "that of a Tidemark log" : "that of a Tidemark log's control facts"
    return unfit("description", found, needed, another)
  }
  if (incarnation !== undefined && identity.incarnation !== incarnation) {
    const remedy = `Restore the stream ${streamNameOf(project)} that it belongs to, or move this one out of the way`
    return unfit("description", `of log ${identity.incarnation}`, `of log ${incarnation}, like the events`, remedy)
  }
  const subjects = subjectsOf(project, identity)
  const missing = subjects.find((subject) => !config.subjects.includes(subject))
  const foreign = config.subjects.find((subject) => !subjects.includes(subject))
  if (missing !== undefined || foreign !== undefined) {
    const found = missing === undefined ? `with ${foreign}` : `without ${missing}`
    const needed = kind === "events" ? `those of its ${identity.partitions} partitions` : "that of control"
    return unfit("subjects", found, needed, `Change it with "nats stream edit ${config.name} --subjects=…"`)
  }
  if (config.retention !== RetentionPolicy.Limits) return unfit("retention", config.retention, "limits", recreate)
  if (config.storage !== StorageType.File) return unfit("storage", config.storage, "file", recreate)
  if (config.no_ack === true) return unfit("no_ack", true, "false", edit("--ack"))
  const bounded = config.max_bytes > 0 || config.max_msgs > 0
  if (config.discard !== DiscardPolicy.New && bounded) {
    return unfit("discard", config.discard, "new, since it has a size limit", edit("--discard=new"))
  }
  if (kind === "control" && config.max_age > 0) {
    return unfit(
      "max_age",
      `${config.max_age / 1e9} s`,
      "unlimited (0): control facts are kept for ever",
      edit("--max-age=0"),
    )
  }
  if (config.max_msgs_per_subject > 0) {
    const remedy = edit("--max-msgs-per-subject=-1")
    return unfit("max_msgs_per_subject", config.max_msgs_per_subject, "unlimited (-1)", remedy)
  }
  if (config.max_msg_size > 0 && config.max_msg_size < RECORD_BYTES_MAX) {
    const remedy = edit(`--max-msg-size=${RECORD_BYTES_MAX}`)
    return unfit("max_msg_size", config.max_msg_size, `${RECORD_BYTES_MAX} or more`, remedy)
  }
  const window = nanos(Duration.toMillis(DUPLICATE_WINDOW))
  if (config.duplicate_window < window) {
    const found = `${config.duplicate_window / 1e9} s`
    return unfit("duplicate_window", found, "120 s or more", edit("--dupe-window=2m"))
  }
  return null
}
