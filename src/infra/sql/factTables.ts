import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, joinFacts } from "../../domain/measure/Fact.ts"
import type { FactChange, KnownFacts } from "../../domain/projection/StepChanges.ts"
import type { FactsOf } from "../../domain/projection/ReadModel.ts"
import { BulkCopy } from "./BulkCopy.ts"
import { copyText } from "./copyText.ts"
import { FACT_COLUMNS, type PackedFragment, packFragments, unpackFragment } from "./factRows.ts"
import { inSlices } from "./inSlices.ts"

/** Fragments of one identity from which on a step that reads them puts them together, if that halves them at least. */
const FRAGMENTS_MAX = 8

/** Reads and writes facts, for one step in one transaction. */
export const makeFactTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bulk = yield* BulkCopy

  const facts = Effect.fnUntraced(function* (needs: ReadonlyArray<FactsOf>) {
    const known = new Map(needs.map(({ measure }) => [measure, new Map<number, Fact>()]))
    /** Measure → identity → how many fragments; absent for one. */
    const counts = new Map(needs.map(({ measure }) => [measure, new Map<number, number>()]))
    const take = (fragment: PackedFragment): void => {
      const [measure, key] = fragment
      const facts = known.get(measure)!
      const held = facts.get(key)
      const fact = unpackFragment(fragment)
      facts.set(key, held === undefined ? fact : joinFacts(held, fact))
      if (held === undefined) return
      const count = counts.get(measure)!
      count.set(key, (count.get(key) ?? 1) + 1)
    }
    // Measures that need the same are asked for together.
    for (const [keys, group] of Map.groupBy(needs, (need) => need.keys)) {
      const ids = group.map(({ measure }) => measure)
      yield* inSlices(
        keys.toSorted((a, b) => a - b),
        (slice) =>
          Effect.map(
            // One value for all rows: drivers spend more on a row than on its bytes. Key by key, by the index: left to
            // itself PostgreSQL reads the whole table, with all its processes, from some thousand keys on.
            sql<{ readonly fragments: ReadonlyArray<PackedFragment> }>`
              SELECT coalesce(json_agg(json_build_array(measure, key, month, mask, items, masks, encode(points, 'hex'))), '[]')
                AS fragments FROM unnest(${slice}::int[]) AS wanted(wanted_key) CROSS JOIN LATERAL (
                  SELECT * FROM facts WHERE measure = ANY(${ids}::int[]) AND key = wanted_key OFFSET 0) AS found`,
            ([row]) => row!.fragments.forEach(take),
          ),
      )
    }
    for (const [measure, facts] of known) {
      const crowded = Array.from(counts.get(measure)!).flatMap(([key, count]) => {
        const fact = facts.get(key)!
        return count >= FRAGMENTS_MAX && count >= 2 * monthsOf(fact) ? [[key, fact] as const] : []
      })
      if (crowded.length > 0) yield* compact(measure, crowded)
    }
    return needs.map(({ measure }) => known.get(measure)!) satisfies KnownFacts
  })

  /** Puts the fragments of identities together; says nothing new. */
  const compact = Effect.fnUntraced(function* (measure: number, facts: ReadonlyArray<readonly [number, Fact]>) {
    yield* remove(
      measure,
      facts.map(([key]) => key),
    )
    const rows = facts.flatMap(([key, fact]) => packFragments(measure, key, fact.values()))
    yield* bulk.copy("facts", FACT_COLUMNS, copyText(rows))
  })

  const remove = (measure: number, keys: ReadonlyArray<number>) =>
    inSlices(keys, (slice) => sql`DELETE FROM facts WHERE measure = ${measure} AND key = ANY(${slice}::int[])`)

  const write = Effect.fnUntraced(function* (measure: number, changes: ReadonlyArray<FactChange>) {
    yield* remove(
      measure,
      changes.flatMap(({ key, replaces }) => (replaces ? [key] : [])),
    )
    const rows = changes.toSorted((a, b) => a.key - b.key).flatMap(({ key, rows }) => packFragments(measure, key, rows))
    if (rows.length > 0) yield* bulk.copy("facts", FACT_COLUMNS, copyText(rows))
  })

  return { facts, write }
})

const monthsOf = (fact: Fact): number => new Set(Array.from(fact.values(), ({ month }) => month)).size
