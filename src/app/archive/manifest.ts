import { hash } from "node:crypto"
import { Result, Schema } from "effect"
import { CONTROL_PARTITION } from "../../domain/log/EventLog.ts"
import { PARTITIONS_MAX } from "../../domain/log/partition.ts"

/** Version of everything that docs/reference/archive-format.md says. A storage contract: old versions stay readable. */
export const ARCHIVE_VERSION = 1

/** Name of the manifest. It is written last: a directory without it is no finished export. */
export const MANIFEST = "manifest.json"

/** `batches`: the log as it is, to restore it. `ndjson`: an object per event, for other tools. */
export const ARCHIVE_FORMATS = ["batches", "ndjson"] as const

export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number]

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Names of the archive's own files only: no way out of its directory. */
const FileName = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9.-]{0,99}$/))

const fileFields = {
  name: FileName,
  /** As the file is, compressed. */
  bytes: Count,
  /** Of the file as it is, compressed, in hex. */
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
}

/** Records of one partition, in order. */
const LogFile = Schema.Struct({
  ...fileFields,
  partition: Schema.Int.check(Schema.isBetween({ minimum: CONTROL_PARTITION, maximum: PARTITIONS_MAX - 1 })),
  /** Sequences of its first and its last record in the log that was exported. */
  first: Count,
  last: Count,
  records: Count,
  /** Events in the records; in the file of the control facts, these. */
  events: Count,
})
export type LogFile = typeof LogFile.Type

/** Lines of the quarantine, oldest first. */
const QuarantineFile = Schema.Struct({ ...fileFields, lines: Count })
export type QuarantineFile = typeof QuarantineFile.Type

/** What an archive is, and what each of its files must be. */
const Manifest = Schema.Struct({
  version: Schema.Literal(ARCHIVE_VERSION),
  format: Schema.Literals(ARCHIVE_FORMATS),
  /** Of the log that was exported. */
  incarnation: Schema.String,
  partitions: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: PARTITIONS_MAX })),
  /** When the export began, ISO 8601. */
  exportedAt: Schema.String,
  /** The files of each partition in their order. */
  files: Schema.Array(LogFile),
  quarantine: Schema.Array(QuarantineFile),
  totals: Schema.Struct({
    records: Count,
    /** Without control facts. */
    events: Count,
    controlFacts: Count,
    quarantined: Count,
    bytes: Count,
  }),
})
export type Manifest = typeof Manifest.Type

const decode = Schema.decodeUnknownResult(Manifest)

/** The manifest as text; its first key is the checksum of the rest. */
export const encodeManifest = (manifest: Manifest): string =>
  `${JSON.stringify({ sha256: sumOf(manifest), ...manifest }, null, 2)}\n`

/** Reads a manifest; a failure says what is wrong with it, or that its version is another. */
export const decodeManifest = (
  text: string,
): Result.Result<Manifest, { readonly problem: string } | { readonly version: number }> => {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return Result.fail({ problem: "is not JSON" })
  }
  if (typeof found !== "object" || found === null || !("version" in found) || !Number.isSafeInteger(found.version)) {
    return Result.fail({ problem: "is not the manifest of an archive" })
  }
  if ((found.version as number) > ARCHIVE_VERSION) return Result.fail({ version: found.version as number })
  const { sha256, ...manifest } = found as { readonly sha256?: unknown; readonly version: unknown }
  if (sha256 !== sumOf(manifest)) return Result.fail({ problem: "does not match its checksum" })
  return Result.mapError(decode(manifest), ({ message }) => ({
    problem: `can't be read (${message.replaceAll(/\s+/g, " ")})`,
  }))
}

/** Over the JSON without white space, so that it may be laid out anew. */
const sumOf = (manifest: object): string => hash("sha256", JSON.stringify(manifest), "hex")
