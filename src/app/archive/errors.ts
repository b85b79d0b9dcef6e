import { Data } from "effect"

/** Where an archive was to be written, there is something that an export would have to write over. */
export class ArchiveTargetTaken extends Data.TaggedError("ArchiveTargetTaken")<{
  readonly directory: string
  /** What was found there, as the rest of "because". */
  readonly found: string
}> {
  override get message(): string {
    return `Could not export the log to ${this.directory}: ${this.found}. Nothing was written. Name a directory that is empty or not there yet.`
  }
}

/** A file of an archive can't be written: the disk, or the rights. */
export class ArchiveNotWritten extends Data.TaggedError("ArchiveNotWritten")<{
  readonly path: string
  readonly reason: string
}> {
  override get message(): string {
    return `Could not write ${this.path}: ${this.reason}. The export is not finished; exporting to the same directory again begins anew.`
  }
}

/** Records were removed at the front of the log, so the rest can't prove itself in another log. */
export class LogFrontRemoved extends Data.TaggedError("LogFrontRemoved")<{
  /** The first sequence that may still be there. */
  readonly begins: number
}> {
  override get message(): string {
    return `Could not export the log: its records before sequence ${this.begins} were removed by retention or a purge, and chains whose beginning is gone can't prove in another log that nothing else is. Export the events with "--format ndjson", which "tidemark import" reads back.`
  }
}

/** There is no archive, or none that a log can be made from. */
export class NoArchive extends Data.TaggedError("NoArchive")<{
  readonly directory: string
  /** What was found instead. */
  readonly problem: string
  readonly remedy: string
}> {
  override get message(): string {
    return `Could not import the log from ${this.directory}: ${this.problem}. ${this.remedy}.`
  }
}

/** A newer Tidemark wrote the archive. */
export class ArchiveNewer extends Data.TaggedError("ArchiveNewer")<{
  readonly directory: string
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    return `The archive ${this.directory} has format ${this.found}; this version of Tidemark knows up to format ${this.known}. Upgrade Tidemark.`
  }
}

/** A file of an archive is not what the export wrote. */
export class ArchiveDamaged extends Data.TaggedError("ArchiveDamaged")<{
  readonly directory: string
  readonly file: string
  readonly problem: string
}> {
  override get message(): string {
    return `The archive ${this.directory} is damaged: ${this.file} ${this.problem}. Take another copy of the archive, or export the log again.`
  }
}

/** A file of an archive can't be read: the disk, or the rights. */
export class ArchiveUnreadable extends Data.TaggedError("ArchiveUnreadable")<{
  readonly path: string
  readonly reason: string
}> {
  override get message(): string {
    return `Could not read ${this.path}: ${this.reason}.`
  }
}

const ANOTHER_LOG =
  "Name another directory (--dir), or on servers another project and schema (TIDEMARK_PROJECT, TIDEMARK_POSTGRES_SCHEMA); the import makes the log there"

/** The archive's batches stand in as many partitions as its log had, and the log has another number. */
export class PartitionsDiffer extends Data.TaggedError("PartitionsDiffer")<{
  readonly archive: number
  readonly log: number
}> {
  override get message(): string {
    return `The archive has ${partitions(this.archive)} and the log has ${partitions(this.log)}, and a log keeps its number for ever. Nothing was written. ${ANOTHER_LOG}, with ${partitions(this.archive)}.`
  }
}

/** The log holds what is not of the archive, or not where the archive has it. */
export class LogNotEmpty extends Data.TaggedError("LogNotEmpty")<{
  readonly found: string
}> {
  override get message(): string {
    return `An archive goes into an empty log, or into one that holds its beginning because an import was cut off; this one ${this.found}. Nothing was written. ${ANOTHER_LOG}.`
  }
}

/** After an import the log does not hold what the archive does. */
export class ImportIncomplete extends Data.TaggedError("ImportIncomplete")<{
  readonly partition: number
  readonly archive: number
  readonly log: number
}> {
  override get message(): string {
    return `After the import partition ${this.partition} of the log has ${this.log} records, and the archive has ${this.archive}: others wrote to the log meanwhile, records were removed from it, or NATS took them for repeats of what was purged less than two minutes ago. Delete this log, and import the archive again while nobody writes.`
  }
}

const partitions = (count: number): string => (count === 1 ? "1 partition" : `${count} partitions`)
