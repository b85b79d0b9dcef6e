import { Data } from "effect"
import { formatPosition, type Position } from "./position.ts"

/** A record whose bytes are not what a writer wrote. */
export class CorruptBatch extends Data.TaggedError("CorruptBatch")<{
  readonly problem: string
  /** Bytes found. */
  readonly size: number
}> {
  override get message(): string {
    return `A log record of ${this.size} bytes can't be read: ${this.problem}. The log is damaged here or a stranger wrote to it; restore it from a copy.`
  }
}

/** A record in a format that a newer Tidemark wrote. */
export class UnknownBatchVersion extends Data.TaggedError("UnknownBatchVersion")<{
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    return `A log record has format ${this.found}, and this version of Tidemark reads up to format ${this.known}. Upgrade Tidemark.`
  }
}

/** A control fact that this version can't read: a newer one wrote it. */
export class UnknownControlFact extends Data.TaggedError("UnknownControlFact")<{
  readonly name: string
  readonly problem: string
}> {
  override get message(): string {
    return `The log holds a control fact "${this.name}" that this version of Tidemark can't read (${this.problem}). Upgrade Tidemark.`
  }
}

/** The log is not whole: something that was appended is gone, changed, or stands where it can't. */
export class LogDamaged extends Data.TaggedError("LogDamaged")<{
  /** Null where the log can't tell whose it was. */
  readonly partition: number | null
  /** Where the reader stopped. */
  readonly sequence: number
  readonly problem: string
}> {
  override get message(): string {
    const place = this.partition === null ? `sequence ${this.sequence}` : `${this.partition}/${this.sequence}`
    return `The log is damaged at ${place}: ${this.problem}. Nothing after this place was read. Restore the log from a copy; if the copy is older than the read model, "tidemark rebuild --accept-log" makes that anew from it.`
  }
}

/** Names records that are gone from a log, by sequence, both ends included. */
export const missingRecords = (first: number, last: number): string =>
  first === last ? `record ${first} is missing` : `${last - first + 1} records are missing, ${first} to ${last}`

/** The log does not hold what a saved position says; the histories have parted. */
export class PositionDiverged extends Data.TaggedError("PositionDiverged")<{
  readonly saved: Position
  /** What stands there now. */
  readonly found: string
}> {
  override get message(): string {
    return `The read model stands at ${formatPosition(this.saved)} (batch ${this.saved.batchId} of log ${this.saved.incarnation}), but the log has ${this.found} there: it was restored or replaced. Nothing was read. Put the right copy of the log back, or give up what this one doesn't hold: "tidemark rebuild --accept-log" makes the read model anew from the log as it is.`
  }
}

/** The log could not be read or written: the disk, the file, or the server refused. */
export class LogUnavailable extends Data.TaggedError("LogUnavailable")<{
  readonly attempted: string
  readonly reason: string
  /** Whether trying again later may help. */
  readonly retryable: boolean
}> {
  override get message(): string {
    return `Could not ${this.attempted}: ${this.reason}.`
  }
}
