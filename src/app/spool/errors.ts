import { Data } from "effect"

/** The log is away, and no more events fit where they wait for it. */
export class SpoolFull extends Data.TaggedError("SpoolFull")<{
  readonly directory: string
  readonly maxBytes: number
}> {
  override get message(): string {
    return `The events were not accepted: the log can't be written, and the spool in ${this.directory} is full (${this.maxBytes} bytes). Try again when the log is back, or give it more room (TIDEMARK_SPOOL_BYTES).`
  }
}

/** The directory in which events would wait for the log can't be used. */
export class SpoolUnavailable extends Data.TaggedError("SpoolUnavailable")<{
  readonly directory: string
  readonly reason: string
}> {
  override get message(): string {
    return `The spool in ${this.directory} can't be used: ${this.reason}. Events wait there while the log is away; name another directory (TIDEMARK_SPOOL_DIR).`
  }
}

/** Events wait for a log that is away. */
export class NotDrained extends Data.TaggedError("NotDrained")<{ readonly bytes: number; readonly reason: string }> {
  override get message(): string {
    return `Events that were accepted wait for the log (${this.bytes} bytes), and are in it when it is back: ${this.reason}`
  }
}
