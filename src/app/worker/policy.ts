import { Data, Effect, Random } from "effect"
import type { ProjectError } from "../projection/Projector.ts"
import type { BatchKills } from "./isolation.ts"

/** Pauses between attempts while something is away: doubled each time, up to the last. */
const PAUSE_MILLIS_FIRST = 200
const PAUSE_MILLIS_LAST = 10_000

/** What failed for good is tried again this often, since an operator may have put it right. */
const FAILED_MILLIS = 30_000

/** When another worker has taken a partition over, it is left to it for a while: by then its owner is settled. */
const OTHER_OWNER_MILLIS = 3_000

/** A defect: something that nobody expected. */
export class LoopBroke extends Data.TaggedError("LoopBroke")<{ readonly defect: unknown }> {
  override get message(): string {
    const words = this.defect instanceof Error ? this.defect.message : String(this.defect)
    return `The projection failed in a way that Tidemark does not know: ${words}. What was committed is safe.`
  }
}

export type LoopError = ProjectError | BatchKills | LoopBroke

/** What a loop does about an error. */
export type Remedy =
  /** Claims anew; the checkpoint as it is stored then says how far it is, also after a commit of unknown outcome. */
  | { readonly kind: "again" }
  | { readonly kind: "wait"; readonly millis: number; readonly sentence: string }
  | { readonly kind: "fail"; readonly millis: number; readonly sentence: string }
  | { readonly kind: "park"; readonly sentence: string }

/**
 * What to do about an error. Whatever it is, nothing is skipped and the loop never ends: what is away is waited for, what
 * is wrong stays as it is until it is put right.
 *
 * `ownedByOther`: whether somebody else has claimed the partition; `failures`: errors in a row before this one.
 */
export const remedyFor = Effect.fnUntraced(function* (error: LoopError, ownedByOther: boolean, failures: number) {
  const sentence = error.message
  const jitter = 0.75 + 0.5 * (yield* Random.next)
  const fail = { kind: "fail", millis: FAILED_MILLIS * jitter, sentence } as const
  switch (error._tag) {
    case "CheckpointConflict":
      return (
        ownedByOther ? { kind: "wait", millis: OTHER_OWNER_MILLIS * jitter, sentence } : { kind: "again" }
      ) satisfies Remedy
    case "ReadModelUnavailable":
    case "LogUnavailable": {
      const unknown = error._tag === "ReadModelUnavailable" && error.outcome === "unknown"
      if (!error.retryable && !unknown) return fail satisfies Remedy
      const millis = Math.min(PAUSE_MILLIS_LAST, PAUSE_MILLIS_FIRST * 2 ** failures) * jitter
      return { kind: "wait", millis, sentence } satisfies Remedy
    }
    case "BatchKills":
      return { kind: "park", sentence } satisfies Remedy
    default:
      return fail satisfies Remedy
  }
})
