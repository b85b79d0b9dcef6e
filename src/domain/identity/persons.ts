import type { AliasStatement, Link } from "./links.ts"
import { compareIds, type DistinctId, isAnonymous, userDistinctId } from "./distinctId.ts"

/**
 * One row of who is who: a distinct id and the person it belongs to.
 *
 * A device that has an owner may have two rows: the part of its activity inside the merge window, which is the owner's,
 * and the `older` part, which stays with the device (docs/explanation/identity.md).
 */
export interface Identity {
  /** Number of this row, given once; facts are stored under it. */
  readonly key: number
  readonly distinctId: DistinctId
  readonly older: boolean
  /** The `key` of the row that stands for the person. */
  readonly person: number
  /** A device's deciding link; `null` for user ids and devices without owner. */
  readonly link: Link | null
}

/** The key of a device's older part: the negative of the device's own, so that none needs to be given. */
export const olderPartOf = (key: number): number => -key

/**
 * The instant (ms) from which a device's anonymous events are the owner's: earlier ones stay with the device. `−∞`
 * while nothing is split: no owner yet, or no limit.
 */
export const mergeBorder = (link: Link | null, mergeWindowMillis: number | null): number =>
  link === null || mergeWindowMillis === null ? Number.NEGATIVE_INFINITY : link.time - mergeWindowMillis

/**
 * Works out the person of every row, anew: users joined by statements in force are one person, named after the smallest
 * user id; a device belongs to its owner's person; without owner, and for its older part, it is a person of its own.
 *
 * `rows` must be closed: with a user all rows of its person, with a device its owner. A function of the set of rows and
 * statements, not of their order.
 */
export const resolvePersons = (
  rows: ReadonlyArray<Identity>,
  statements: Iterable<AliasStatement>,
): ReadonlyArray<Identity> => {
  const keyOfUser = new Map<DistinctId, number>()
  for (const row of rows) {
    if (!isAnonymous(row.distinctId)) keyOfUser.set(row.distinctId, row.key)
  }

  /** User → a user of the same person; a root stands for its set and is the smallest id in it. */
  const parent = new Map<DistinctId, DistinctId>()
  const rootOf = (user: DistinctId): DistinctId => {
    let root = user
    for (let next = parent.get(root); next !== undefined; next = parent.get(root)) root = next
    for (let at = user; at !== root;) {
      const next = parent.get(at)!
      parent.set(at, root)
      at = next
    }
    return root
  }
  for (const { first, second, joined } of statements) {
    const known = keyOfUser.has(userDistinctId(first)) && keyOfUser.has(userDistinctId(second))
    if (!joined || !known) continue
    const a = rootOf(userDistinctId(first))
    const b = rootOf(userDistinctId(second))
    if (a === b) continue
    if (compareIds(a, b) < 0) parent.set(b, a)
    else parent.set(a, b)
  }

  const personOfUser = (user: DistinctId): number => keyOfUser.get(rootOf(user))!
  return rows.map((row) => {
    const person = !isAnonymous(row.distinctId)
      ? personOfUser(row.distinctId)
      : row.older || row.link === null
        ? row.key
        : personOfUser(userDistinctId(row.link.userId))
    return person === row.person ? row : { ...row, person }
  })
}
