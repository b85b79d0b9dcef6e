import { Effect } from "effect"
import type { CutRules } from "./changeFacts.ts"
import { EVERYBODY } from "./counted.ts"
import type { Fold } from "./Fold.ts"
import type { KnownTables } from "./ReadModel.ts"
import { type Member, settle } from "./settle.ts"

/** What a fold comes to by itself: settled with tables that know nothing, and count everybody. */
export const settleAlone = (fold: Fold, members: ReadonlyArray<Member>, rules: CutRules) => {
  const nothingKnown: KnownTables = {
    countedTo: members.map(() => EVERYBODY),
    identities: (distinctIds) =>
      Effect.succeed({ rows: [], statements: [], newKeys: Array.from(distinctIds, (_, n) => n + 1) }),
    facts: (needs) => Effect.succeed(needs.map(() => new Map())),
  }
  return settle(fold, nothingKnown, members, rules, null)
}
