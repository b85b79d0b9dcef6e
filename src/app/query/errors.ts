import { Data } from "effect"

/** A question that has no answer as it was asked. */
export class BadQuery extends Data.TaggedError("BadQuery")<{ readonly problem: string; readonly remedy: string }> {
  override get message(): string {
    return `${this.problem} ${this.remedy}`
  }
}
