import type { Result } from "effect"
import type { Json } from "../event/json.ts"

/**
 * How the body of one control fact was written over time, and how it is read today. A change of shape is a new version:
 * an upcaster from the version before it, and a golden file (docs/explanation/evolution.md).
 */
export interface FactHistory<A> {
  /** The version that a body was written in. Bodies carry no number, so it is told by their shape. */
  readonly versionOf: (body: Json) => number
  /** From version 1 on: each makes a body of its version one of the next. Pure, and for ever. */
  readonly upcasters: ReadonlyArray<(body: Json) => Json>
  /** Reads a body of the newest version. */
  readonly read: (body: Json) => Result.Result<A, { readonly message: string }>
}

/** The newest version, which is the one that is written. */
export const newestVersion = ({ upcasters }: FactHistory<unknown>): number => upcasters.length + 1

/** Reads a body of any version: upcast step by step to the newest one. */
export const readThroughHistory = <A>(
  history: FactHistory<A>,
  body: Json,
): Result.Result<A, { readonly message: string }> =>
  history.read(history.upcasters.slice(history.versionOf(body) - 1).reduce((older, upcast) => upcast(older), body))
