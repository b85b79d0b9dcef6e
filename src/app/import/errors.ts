import { Data } from "effect"
import type { ColumnKey } from "./columnKey.ts"

/** There is no file at the path. */
export class FileNotFound extends Data.TaggedError("FileNotFound")<{ readonly path: string }> {
  override get message(): string {
    return `Could not import ${this.path}: there is no such file. Check the path, or pass - to read standard input.`
  }
}

/** The path is a directory. */
export class FileIsDirectory extends Data.TaggedError("FileIsDirectory")<{
  readonly path: string
}> {
  override get message(): string {
    return `Could not import ${this.path}: it is a directory. Name the files in it, such as ${this.path}/*.ndjson.`
  }
}

/** The file, or a directory above it, may not be read by this user. */
export class FileNotPermitted extends Data.TaggedError("FileNotPermitted")<{
  readonly path: string
}> {
  override get message(): string {
    return `Could not import ${this.path}: permission to read it is denied. Allow this user to read the file and the directories above it.`
  }
}

/** The operating system failed to open or read the file for another reason. */
export class FileUnreadable extends Data.TaggedError("FileUnreadable")<{
  readonly path: string
  /** The system's own words, such as `EIO: i/o error, read`. */
  readonly problem: string
}> {
  override get message(): string {
    return `Could not read ${this.path}: ${this.problem}. What came before was read; importing the file again adds only what is missing.`
  }
}

/** Compressed data that ends too early or isn't what the compressor wrote. */
export class CompressedDataDamaged extends Data.TaggedError("CompressedDataDamaged")<{
  readonly path: string
  readonly compression: "gzip" | "zstd"
  /** The decompressor's own words, such as `unexpected end of file`. */
  readonly problem: string
}> {
  override get message(): string {
    return `Could not decompress all of ${this.path}: its ${this.compression} data is cut short or damaged (${this.problem}). The lines before that place were read. Get a whole copy and import it under the same name; events that are in already are not counted twice.`
  }
}

/** Nothing in the file says in which format it is. */
export class FormatUnknown extends Data.TaggedError("FormatUnknown")<{
  readonly path: string
  /** What was found instead, as the rest of "… because". */
  readonly found: string
}> {
  override get message(): string {
    return `Could not tell the format of ${this.path}: ${this.found}. Expected one JSON object a line, or CSV whose first line names the columns. Pass --format tidemark, segment or csv if it is one of these.`
  }
}

/** The first line of a CSV file can't be its header. */
export class HeaderUnreadable extends Data.TaggedError("HeaderUnreadable")<{
  readonly path: string
  readonly problem: string
}> {
  override get message(): string {
    return `Could not read the header of ${this.path}: ${this.problem}. Expected a first line with the names of the columns.`
  }
}

const NAMES_SHOWN_MAX = 40
const NAME_LENGTH_SHOWN_MAX = 60

const list = (names: ReadonlyArray<string>): string => {
  const shown = names
    .slice(0, NAMES_SHOWN_MAX)
    .map((name) => (name.length > NAME_LENGTH_SHOWN_MAX ? `${name.slice(0, NAME_LENGTH_SHOWN_MAX)}…` : name))
    .map((name) => (name === "" ? '""' : name))
    .join(", ")
  const more = names.length - NAMES_SHOWN_MAX
  return more > 0 ? `${shown} and ${more} more` : shown
}

/** `--map` names columns that the file doesn't have. */
export class ColumnsNotFound extends Data.TaggedError("ColumnsNotFound")<{
  readonly path: string
  readonly missing: ReadonlyArray<{
    readonly key: ColumnKey
    readonly column: string
    /** The column of the file that is spelled most alike. */
    readonly nearest: string | null
  }>
  readonly columns: ReadonlyArray<string>
}> {
  override get message(): string {
    const missing = this.missing
      .map(({ key, column, nearest }) => `${key}=${column}${nearest === null ? "" : ` (did you mean ${nearest}?)`}`)
      .join(", ")
    return `Could not import ${this.path}: it has no such column: ${missing}. Its columns are: ${list(this.columns)}. Correct --map.`
  }
}

/** Two columns of a CSV file have one name, so a value would have to be thrown away. */
export class ColumnsDuplicated extends Data.TaggedError("ColumnsDuplicated")<{
  readonly path: string
  readonly duplicated: ReadonlyArray<string>
}> {
  override get message(): string {
    return `Could not import ${this.path}: its header names more than one column ${list(this.duplicated)}. Rename the columns in its first line so that each has a name of its own.`
  }
}

const MEANING: Readonly<Record<ColumnKey, string>> = {
  time: "says when the events happened",
  user: "holds the user id",
  anonymous: "holds the anonymous id",
  event: "names the events",
  id: "holds the event id",
  session: "holds the session id",
  previous: "holds the user id that the alias joins",
  group: "holds the group id",
  kind: "says of which kind the events are",
}

/** The file lacks a column that its events can't do without. */
export class ColumnNeeded extends Data.TaggedError("ColumnNeeded")<{
  readonly path: string
  readonly key: ColumnKey
  readonly columns: ReadonlyArray<string>
}> {
  override get message(): string {
    const remedy = this.key === "event" ? "Pass --event NAME or --map event=COL" : `Pass --map ${this.key}=COL`
    return `Could not import ${this.path}: no column is known that ${MEANING[this.key]}. Its columns are: ${list(this.columns)}. ${remedy}.`
  }
}

/** Text that was given as a column map is none. */
export class ColumnMapInvalid extends Data.TaggedError("ColumnMapInvalid")<{
  readonly found: string
  readonly problem: string
}> {
  override get message(): string {
    return `--map: ${this.problem}, found "${this.found}". Expected KEY=COLUMN pairs with commas between them, such as time=ts,user=uid; the keys are time, user, anonymous, event, id, session, previous, group and kind.`
  }
}

/** A quarantined line names a time zone that this machine doesn't know. */
export class ContextZoneUnknown extends Data.TaggedError("ContextZoneUnknown")<{
  readonly zone: string
}> {
  override get message(): string {
    return `Could not read a quarantined line again: it was imported in the time zone ${this.zone}, which this machine does not know. Run the replay where that zone is known, or import the file again with --time-zone.`
  }
}

/** Why a file can't be imported, or not to its end. */
export type ImportError =
  | FileNotFound
  | FileIsDirectory
  | FileNotPermitted
  | FileUnreadable
  | CompressedDataDamaged
  | FormatUnknown
  | HeaderUnreadable
  | ColumnsNotFound
  | ColumnsDuplicated
  | ColumnNeeded

const CLASSES = [
  FileNotFound,
  FileIsDirectory,
  FileNotPermitted,
  FileUnreadable,
  CompressedDataDamaged,
  FormatUnknown,
  HeaderUnreadable,
  ColumnsNotFound,
  ColumnsDuplicated,
  ColumnNeeded,
]

/** Tells an expected refusal, which readers throw through their generators, from a defect. */
export const isImportError = (error: unknown): error is ImportError =>
  CLASSES.some((constructor) => error instanceof constructor)
