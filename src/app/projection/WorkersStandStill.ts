import { Data } from "effect"

/** The workers own the partitions, and stand still. */
export class WorkersStandStill extends Data.TaggedError("WorkersStandStill")<{ readonly why: string }> {
  override get message(): string {
    return `The workers don't go on: ${this.why} Events wait in the log; "tidemark status" shows where.`
  }
}
