import { Effect } from "effect"
import { type DistinctId, userDistinctId } from "../identity/distinctId.ts"
import { joinLinks } from "../identity/links.ts"
import type { Identity } from "../identity/persons.ts"
import type { Fold } from "./Fold.ts"
import type { KnownTables } from "./ReadModel.ts"
import type { FactChange, StepChanges } from "./StepChanges.ts"

/**
 * The second half of a step while nobody is counted, and nothing is said of users: facts are only gathered, under the keys of
 * their distinct ids, so it doesn't matter whose they are. Only devices that may get another owner have to be looked up, and
 * these owners. `keys`: of the fold's distinct ids, in their order.
 */
export const settleUncounted = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  keys: ReadonlyArray<number>,
) {
  const gathered = [...fold.gathered.values()]
  return {
    identities: yield* linkDevices(fold, known, keys),
    statements: [],
    measures: fold.measures.map((_, m) => ({
      facts: gathered.flatMap((of): ReadonlyArray<FactChange> => {
        const rows = of.rowsOf(m)
        return rows === null ? [] : [{ key: keys[of.number]!, rows, replaces: false }]
      }),
      cells: fold.tallies[m]!.deltas(),
    })),
  } satisfies StepChanges
})

/** The devices whose deciding link is one of the fold's, each with the person of its owner. */
const linkDevices = Effect.fnUntraced(function* (fold: Fold, known: KnownTables, keys: ReadonlyArray<number>) {
  const keyOf = (distinctId: DistinctId) => keys[fold.gathered.get(distinctId)!.number]!
  const linked = Array.from(fold.gathered.values()).flatMap(({ distinctId, link }) =>
    link === null ? [] : [{ link, device: keyOf(distinctId), owner: keyOf(userDistinctId(link.userId)) }],
  )
  if (linked.length === 0) return []
  const rows = yield* known.rows([...new Set(linked.flatMap(({ device, owner }) => [device, owner]))])
  const rowOf = new Map(rows.map((row) => [row.key, row]))
  return linked.flatMap(({ link, device, owner }): ReadonlyArray<Identity> => {
    const row = rowOf.get(device)!
    return joinLinks(row.link, link) === row.link ? [] : [{ ...row, link, person: rowOf.get(owner)!.person }]
  })
})
