import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, joinInto } from "../../domain/measure/Fact.ts"
import { type Fragment, unpackFragment, unpackPoints } from "./factFragment.ts"
import { BLOCKS_AT_ONCE, readSlices } from "./packedFragments.ts"
import { PersonPoints } from "./PersonPoints.ts"

/** Reads all that a measure remembers, person by person. Each asks several times, so it is to be run in a snapshot. */
export const makePersonFacts = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  /** Gives the person of every identity, by keys, which are numbers without many holes. Most stand for a person themselves. */
  const persons = Effect.map(
    sql<{ readonly packed: string | null }>`
      SELECT encode(string_agg(int4send(key) || int4send(person), ''), 'base64') AS packed FROM distinct_ids WHERE person <> key`,
    ([row]) => {
      const bytes = Buffer.from(row!.packed ?? "", "base64")
      let greatest = 0
      for (let at = 0; at < bytes.length; at += 8) greatest = Math.max(greatest, bytes.readInt32BE(at))
      /** 0, which is no key, for who stands for a person; so does every older part, whose key is negative. */
      const found = new Int32Array(greatest + 1)
      for (let at = 0; at < bytes.length; at += 8) found[bytes.readInt32BE(at)] = bytes.readInt32BE(at + 4)
      return (identity: number): number => found[identity] || identity
    },
  )

  /** Calls back with all fragments of a measure, and gives the person of every identity, found while the last are unpacked. */
  const eachFragment = Effect.fnUntraced(function* (measure: number, take: (fragment: Fragment) => void) {
    const [found] = yield* sql<{ readonly first: number; readonly last: number }>`
      SELECT coalesce(min(block), 0) AS first, coalesce(max(block), -1) AS last FROM facts WHERE measure = ${measure}`
    const firsts: Array<number> = []
    for (let first = found!.first; first <= found!.last; first += BLOCKS_AT_ONCE) firsts.push(first)
    const blocksOf = (first: number, from: number) =>
      sql`SELECT * FROM facts WHERE measure = ${measure} AND block >= ${Math.max(first, from)} AND block < ${first + BLOCKS_AT_ONCE}`
    return yield* readSlices(sql, firsts, blocksOf, take, persons)
  })

  const personFacts = Effect.fnUntraced(function* (measure: number) {
    const ofIdentities = new Map<number, Fact>()
    const join = joinInto(ofIdentities)
    const personOf = yield* eachFragment(measure, (fragment) => unpackFragment(fragment, join))
    const facts = new Map<number, Fact>()
    const joinPersons = joinInto(facts)
    for (const [identity, fact] of ofIdentities) joinPersons(personOf(identity), fact)
    return facts
  })

  const personPoints = Effect.fnUntraced(function* (measure: number) {
    const points = new PersonPoints()
    const { numberOf, begin, add } = points
    return points.of(yield* eachFragment(measure, (fragment) => unpackPoints(fragment, numberOf, begin, add)))
  })

  return { personFacts, personPoints }
})
