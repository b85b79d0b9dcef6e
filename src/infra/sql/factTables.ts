import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, joinFacts } from "../../domain/measure/Fact.ts"
import type { FactChange, FactsNeeded, KnownFacts } from "../../domain/projection/completeStep.ts"
import type { KnownTables } from "../../domain/projection/ReadModel.ts"
import { BulkCopy } from "./BulkCopy.ts"
import { copyText } from "./copyText.ts"
import { FACT_COLUMNS, type PackedFragment, packFragments, unpackFragment } from "./factRows.ts"
import { inSlices } from "./inSlices.ts"

/** Fragments of one identity and month from which on a step that reads them puts them together. */
const FRAGMENTS_MAX = 8

/** Reads and writes facts, for one step in one transaction. */
export const makeFactTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bulk = yield* BulkCopy

  const facts = Effect.fnUntraced(function* (
    measures: Parameters<KnownTables["facts"]>[0],
    { whole, gaining, months }: FactsNeeded,
  ) {
    const known = new Map(measures.map(({ id }) => [id, new Map<number, Fact>()]))
    const counts = new Map<string, number>()
    const take = (fragment: PackedFragment): void => {
      const [measure, key, month] = fragment
      const facts = known.get(measure)!
      const held = facts.get(key)
      const fact = unpackFragment(fragment)
      facts.set(key, held === undefined ? fact : joinFacts(held, fact))
      if (held !== undefined) {
        const place = `${measure}|${key}|${month}`
        counts.set(place, (counts.get(place) ?? 1) + 1)
      }
    }
    const read = (ids: ReadonlyArray<number>, keys: ReadonlyArray<number>, within?: ReadonlyArray<number>) =>
      ids.length === 0
        ? Effect.void
        : inSlices(
            [...keys].sort((a, b) => a - b),
            (slice) =>
              Effect.map(
                // One value for all rows: drivers spend more on a row than on its bytes.
                sql<{ readonly fragments: ReadonlyArray<PackedFragment> }>`
                SELECT coalesce(json_agg(json_build_array(measure, key, month, mask, items, masks, encode(points, 'hex'))), '[]')
                  AS fragments FROM facts WHERE measure = ANY(${ids}::int[]) AND key = ANY(${slice}::int[])
                  ${within === undefined ? sql`` : sql`AND month = ANY(${within}::int[])`}`,
                ([row]) => row!.fragments.forEach(take),
              ),
          )
    const idsOf = (reach: "month" | "history") =>
      measures.flatMap((measure) => (measure.reach === reach ? [measure.id] : []))
    yield* read(
      measures.map(({ id }) => id),
      whole,
    )
    yield* read(idsOf("history"), gaining)
    yield* read(idsOf("month"), gaining, months)
    const crowded = [...counts].filter(([, count]) => count >= FRAGMENTS_MAX).map(([place]) => place)
    if (crowded.length > 0)
      yield* compact(
        crowded.map((place) => place.split("|").map(Number)),
        known,
      )
    return measures.map(({ id }) => known.get(id)!) satisfies KnownFacts
  })

  /** Puts the fragments of identities and months together; says nothing new. */
  const compact = Effect.fnUntraced(function* (
    places: ReadonlyArray<ReadonlyArray<number>>,
    known: ReadonlyMap<number, ReadonlyMap<number, Fact>>,
  ) {
    yield* inSlices(
      places,
      (slice) => sql`
        DELETE FROM facts f USING unnest(
          ${slice.map(([measure]) => measure!)}::int[], ${slice.map(([, key]) => key!)}::int[],
          ${slice.map(([, , month]) => month!)}::int[]) AS gone(measure, key, month)
        WHERE f.measure = gone.measure AND f.key = gone.key AND f.month = gone.month`,
    )
    const rows = places.flatMap(([measure, key, month]) =>
      packFragments(
        measure!,
        key!,
        [...known.get(measure!)!.get(key!)!.values()].filter((row) => row.month === month),
      ),
    )
    yield* bulk.copy("facts", FACT_COLUMNS, copyText(rows))
  })

  const write = Effect.fnUntraced(function* (measure: number, changes: ReadonlyArray<FactChange>) {
    yield* inSlices(
      changes.filter(({ replaces }) => replaces),
      (slice) => sql`DELETE FROM facts WHERE measure = ${measure} AND key = ANY(${slice.map(({ key }) => key)}::int[])`,
    )
    const rows = changes.toSorted((a, b) => a.key - b.key).flatMap(({ key, rows }) => packFragments(measure, key, rows))
    if (rows.length > 0) yield* bulk.copy("facts", FACT_COLUMNS, copyText(rows))
  })

  return { facts, write }
})
