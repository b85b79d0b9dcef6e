import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, joinInto } from "../../domain/measure/Fact.ts"
import { type Fragment, unpackFragment, unpackPoints } from "./factFragment.ts"
import { BLOCKS_AT_ONCE, readFitting } from "./packedFragments.ts"
import { PersonPoints } from "./PersonPoints.ts"

/** Reads all that a measure remembers, person by person. Each asks several times, so it is to be run in a snapshot. */
export const makePersonFacts = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  /** The person of every identity, by keys. */
  const persons = Effect.map(
    sql<{ readonly packed: string | null }>`
      SELECT encode(string_agg(int4send(key) || int4send(person), ''), 'hex') AS packed FROM distinct_ids`,
    ([row]) => {
      const bytes = Buffer.from(row!.packed ?? "", "hex")
      const found = new Map<number, number>()
      for (let at = 0; at < bytes.length; at += 8) found.set(bytes.readInt32BE(at), bytes.readInt32BE(at + 4))
      return found
    },
  )

  const eachFragment = Effect.fnUntraced(function* (measure: number, take: (fragment: Fragment) => void) {
    const [found] = yield* sql<{ readonly first: number; readonly last: number }>`
      SELECT coalesce(min(block), 0) AS first, coalesce(max(block), -1) AS last FROM facts WHERE measure = ${measure}`
    const last = found!.last
    for (let from = found!.first; from <= last;) {
      const next = yield* readFitting(
        sql,
        sql`SELECT * FROM facts WHERE measure = ${measure} AND block >= ${from} AND block < ${from + BLOCKS_AT_ONCE}`,
        take,
      )
      from = next ?? from + BLOCKS_AT_ONCE
    }
  })

  const personFacts = Effect.fnUntraced(function* (measure: number) {
    const facts = new Map<number, Fact>()
    const personOf = yield* persons
    const join = joinInto(facts)
    yield* eachFragment(measure, (fragment) =>
      unpackFragment(fragment, (identity, fact) => join(personOf.get(identity)!, fact)),
    )
    return facts
  })

  const personPoints = Effect.fnUntraced(function* (measure: number) {
    const points = new PersonPoints()
    const personOf = yield* persons
    const take = (identity: number, time: number, eventKey: number, label: number): void =>
      points.add(personOf.get(identity)!, time, eventKey, label)
    yield* eachFragment(measure, (fragment) => unpackPoints(fragment, points.numberOf, take))
    return points
  })

  return { personFacts, personPoints }
})
