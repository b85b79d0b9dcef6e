import { Data } from "effect"

/** A PostgreSQL server can't be used: not reached, not let in, too old, or without what Tidemark needs. */
export class PostgresUnavailable extends Data.TaggedError("PostgresUnavailable")<{
  /** Host, port, database and role; never the password. `null` when the address itself can't be read. */
  readonly server: string | null
  readonly reason: string
  /** Whether the same attempt may succeed later, with nobody changing anything. */
  readonly retryable: boolean
}> {
  override get message(): string {
    return this.server === null
      ? `The address of PostgreSQL can't be used: ${this.reason}.`
      : `PostgreSQL at ${this.server} can't be used: ${this.reason}.`
  }
}
