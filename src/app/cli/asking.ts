import type { Effect } from "effect"
import type { Analytics } from "../Analytics.ts"
import type { Store } from "../store.ts"
import { withProvenStore } from "./options.ts"
import { showingReplay } from "./projecting.ts"

/** Asks a proven store, and shows how far a replay is that the answer has to wait for. */
export const asking = <A, E extends { readonly _tag: string; readonly message: string }>(
  json: boolean,
  question: Effect.Effect<A, E, Store | Analytics>,
) => withProvenStore(showingReplay(json, question))
