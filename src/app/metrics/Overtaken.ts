import { Data } from "effect"

/** Others have changed the metrics in between. */
export class Overtaken extends Data.TaggedError("Overtaken")<{ readonly what: string }> {
  override get message(): string {
    return `Somebody else has changed the metrics meanwhile: ${this.what}. Look at "tidemark metrics list", and try again if need be.`
  }
}
