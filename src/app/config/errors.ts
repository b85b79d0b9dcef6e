import { Data } from "effect"

/** The configuration can't be used: a key that is none, a value that won't do, half of what belongs together. */
export class BadConfiguration extends Data.TaggedError("BadConfiguration")<{
  /** Where it stands: a variable of the environment, a key of a file, the file itself. */
  readonly place: string
  readonly problem: string
}> {
  override get message(): string {
    return `The configuration can't be used: ${this.place} ${this.problem}.`
  }
}
