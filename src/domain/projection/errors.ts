import { Data } from "effect"
import { formatPosition, type Position } from "../log/position.ts"

/** Somebody else has moved the checkpoint: this step was not committed, and must not be. */
export class CheckpointConflict extends Data.TaggedError("CheckpointConflict")<{
  readonly group: string
  readonly partition: number
  readonly expected: Position | null
  readonly epoch: number
}> {
  override get message(): string {
    const place = this.expected === null ? "the beginning" : formatPosition(this.expected)
    return `The checkpoint of group ${this.group}, partition ${this.partition} is no longer at ${place} under epoch ${this.epoch}: another projector has gone on, or it was paused. Nothing was written.`
  }
}

/** The read model could not be read or written. */
export class ReadModelUnavailable extends Data.TaggedError("ReadModelUnavailable")<{
  readonly attempted: string
  readonly reason: string
  /** Whether the same attempt may succeed later, with nobody changing anything, and can do no harm. */
  readonly retryable: boolean
  /**
   * What became of the attempt. `unknown`: the connection broke while it was committed, so look at the checkpoint before
   * anything else. Absent means `not-done`.
   */
  readonly outcome?: "not-done" | "unknown"
  /** Whether its tables are gone or another version's, so that this process can do nothing with them any more. */
  readonly superseded?: boolean
}> {
  override get message(): string {
    return `Could not ${this.attempted}: ${this.reason}.`
  }
}
