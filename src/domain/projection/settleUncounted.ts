import { Effect } from "effect"
import { type DistinctId, isAnonymous, userDistinctId } from "../identity/distinctId.ts"
import { joinLinks } from "../identity/links.ts"
import { type Identity, resolvePersons } from "../identity/persons.ts"
import type { Fold } from "./Fold.ts"
import type { KnownTables } from "./ReadModel.ts"
import type { FactChange, StepChanges } from "./StepChanges.ts"
import { joinedStatements, type KnownIdentities } from "./whoIsWho.ts"

/**
 * The second half of a step while nobody is counted: facts are only gathered, under the keys of their distinct ids, so it
 * doesn't matter whose they are. Only those are looked up whose person may become another. `keys`: of the fold's distinct ids,
 * in their order.
 */
export const settleUncounted = Effect.fnUntraced(function* (
  fold: Fold,
  known: KnownTables,
  keys: ReadonlyArray<number>,
) {
  const gathered = [...fold.gathered.values()]
  return {
    ...(yield* relate(fold, known, keys)),
    measures: fold.measures.map((_, m) => ({
      facts: gathered.flatMap((of): ReadonlyArray<FactChange> => {
        const rows = of.rowsOf(m)
        return rows === null ? [] : [{ key: keys[of.number]!, rows, replaces: false }]
      }),
      cells: fold.tallies[m]!.deltas(),
    })),
  } satisfies StepChanges
})

/** What the fold's links and statements change of who is who. */
const relate = Effect.fnUntraced(function* (fold: Fold, known: KnownTables, keys: ReadonlyArray<number>) {
  const stated = new Set(
    Array.from(fold.statements.values()).flatMap(({ first, second }) => [
      userDistinctId(first),
      userDistinctId(second),
    ]),
  )
  const linked = new Set<DistinctId>()
  for (const { distinctId, link } of fold.gathered.values()) {
    if (link !== null) linked.add(distinctId).add(userDistinctId(link.userId))
  }
  if (stated.size === 0 && linked.size === 0) return { identities: [], statements: [] }
  const alone = Array.from(linked, (distinctId) => keys[fold.gathered.get(distinctId)!.number]!)
  return relateRows(fold, yield* known.identities([...stated], false, alone), stated)
})

/**
 * The same, given all members of the persons that something is said of (`stated`), and of others the devices that are linked
 * and their owners. A device whose owner is not among them has kept it, and its person.
 */
const relateRows = (fold: Fold, { rows, statements }: KnownIdentities, stated: ReadonlySet<DistinctId>) => {
  const persons = new Set(rows.filter(({ distinctId }) => stated.has(distinctId)).map(({ person }) => person))
  const users = rows.filter(({ distinctId }) => !isAnonymous(distinctId))
  const { all, changed } = joinedStatements(fold, statements)
  const resolved = resolvePersons(
    users.filter(({ person }) => persons.has(person)),
    all,
  )
  const userOf = new Map([...users, ...resolved].map((row) => [row.distinctId, row]))
  const after = rows.map((row): Identity => {
    if (row.older) return row
    if (!isAnonymous(row.distinctId)) return userOf.get(row.distinctId)!
    const link = joinLinks(row.link, fold.gathered.get(row.distinctId)?.link ?? null)
    const person = (link === null ? undefined : userOf.get(userDistinctId(link.userId))?.person) ?? row.person
    return link === row.link && person === row.person ? row : { ...row, link, person }
  })
  return { identities: after.filter((row, n) => row !== rows[n]), statements: changed }
}
