import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"

/** Keys of distinct ids, in their order; those that have none are given one, each a person of its own. */
export const giveKeys = (
  identities: Map<number, Identity>,
  distinctIds: ReadonlyArray<DistinctId>,
  nextKey: () => number,
): ReadonlyArray<number> => {
  const known = new Map<DistinctId, number>()
  for (const { key, distinctId, older } of identities.values()) if (!older) known.set(distinctId, key)
  return distinctIds.map((distinctId) => {
    const held = known.get(distinctId)
    if (held !== undefined) return held
    const key = nextKey()
    identities.set(key, { key, distinctId, older: false, person: key, link: null })
    return key
  })
}
