import { hash } from "node:crypto"
import { Context, type Effect } from "effect"
import type { RejectionReason } from "../event/admit.ts"
import type { LogUnavailable } from "./errors.ts"

/** Something that could not be accepted, kept whole with its reason until it is replayed or dropped. */
export interface QuarantinedLine {
  /** Name of the file it came from, or of another source. */
  readonly source: string
  /** Line in the source, from 1. */
  readonly line: number
  readonly reason: RejectionReason
  readonly detail: string
  readonly raw: string
  /** JSON of what is needed to read `raw` again. */
  readonly context: string
  /** ms */
  readonly quarantinedAt: number
}

/** What makes two quarantined lines one: where they stood and what they say. */
export const fingerprintOfLine = ({ source, line, raw }: QuarantinedLine): string =>
  hash("sha256", JSON.stringify([source, line, raw]), "hex")

/**
 * Where what the door turned away waits. It lives beside the log, not in the read model, because no replay could bring
 * it back.
 */
export class Quarantine extends Context.Service<
  Quarantine,
  {
    /** Keeps lines; a line that is already there (same source, line and text) is kept once. */
    readonly add: (lines: ReadonlyArray<QuarantinedLine>) => Effect.Effect<void, LogUnavailable>
    /** The lines after an id, oldest first, at most `limit`. */
    readonly list: (
      after: number,
      limit: number,
    ) => Effect.Effect<ReadonlyArray<QuarantinedLine & { readonly id: number }>, LogUnavailable>
    readonly remove: (ids: ReadonlyArray<number>) => Effect.Effect<void, LogUnavailable>
    /** How many lines wait, by reason. */
    readonly counts: Effect.Effect<ReadonlyMap<RejectionReason, number>, LogUnavailable>
  }
>()("tidemark/domain/log/Quarantine") {}
