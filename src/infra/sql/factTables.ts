import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, type FactRow, joinFacts } from "../../domain/measure/Fact.ts"
import type { FactChange, KnownFacts } from "../../domain/projection/StepChanges.ts"
import type { FactsOf } from "../../domain/projection/ReadModel.ts"
import { BulkCopy } from "./BulkCopy.ts"
import { copyBinary } from "./copyBinary.ts"
import {
  blocksOf,
  FACT_COLUMNS,
  FRAGMENT_BYTES,
  PACKED_FRAGMENTS,
  packFragments,
  unpackAll,
  unpackFragment,
} from "./factFragment.ts"
import { inSlices } from "./inSlices.ts"

/** Fragments of one block from which on a step that reads them puts them together, if that halves them at least. */
const FRAGMENTS_MAX = 8

/** Blocks that are read in one statement: of a measure with moments some megabytes. */
const BLOCKS_AT_ONCE = 2_000

/** Identities of blocks, as `held` says them. */
type Wanted = ReadonlyMap<number, number>

/** What a step has read of one block. */
interface BlockSeen {
  count: number
  /** Of fragments that may be put together with others. */
  lightBytes: number
  /** Fragments of one identity that is too long to share one. */
  heavy: number
}

/** Reads and writes facts, for one step in one transaction. */
export const makeFactTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bulk = yield* BulkCopy

  const facts = Effect.fnUntraced(function* (needs: ReadonlyArray<FactsOf>) {
    const known = new Map(needs.map(({ measure }) => [measure, new Map<number, Fact>()]))
    const crowded = new Map(needs.map(({ measure }) => [measure, new Map<number, number>()]))
    // Measures that need the same are asked for together.
    for (const [keys, group] of Map.groupBy(needs, (need) => need.keys)) {
      const wanted = blocksOf(keys)
      const seen = new Map(group.map(({ measure }) => [measure, new Map<number, BlockSeen>()]))
      yield* inSlices(
        inOrder(wanted),
        (slice) =>
          Effect.map(
            // Block by block, by the index: left to itself PostgreSQL reads the whole table, with all its processes, from
            // some thousand blocks on.
            sql<{ readonly packed: string | null }>`
              SELECT ${sql.literal(PACKED_FRAGMENTS)} AS packed FROM ${eachOf(slice)} CROSS JOIN LATERAL (
                SELECT * FROM facts WHERE measure = ANY(${[...seen.keys()]}::int[]) AND block = wanted_block
                  AND held & wanted_held <> 0 OFFSET 0) AS found`,
            ([row]) =>
              unpackAll(row!.packed, (measure, fragment) => {
                note(seen.get(measure)!, fragment.block, fragment.bytes.length)
                unpackFragment(fragment, joinInto(known.get(measure)!), wanted.get(fragment.block))
              }),
          ),
        BLOCKS_AT_ONCE,
      )
      for (const [measure, blocks] of seen) {
        for (const [block, { count, lightBytes, heavy }] of blocks) {
          if (count < FRAGMENTS_MAX || count < 2 * (heavy + Math.ceil(lightBytes / FRAGMENT_BYTES))) continue
          crowded.get(measure)!.set(block, wanted.get(block)!)
        }
      }
    }
    for (const [measure, blocks] of crowded) {
      if (blocks.size > 0) yield* put(measure, (yield* takeOut(measure, blocks, "with all that are short")).taken)
    }
    return needs.map(({ measure }) => known.get(measure)!) satisfies KnownFacts
  })

  const eachOf = (blocks: ReadonlyArray<readonly [block: number, held: number]>) => sql`
    unnest(${blocks.map(([block]) => block)}::int[], ${blocks.map(([, held]) => held)}::int[])
      AS wanted(wanted_block, wanted_held)`

  /**
   * Deletes the fragments that tell of certain identities, or all of their blocks but the long ones of others, and gives
   * what they said, of whomever, and how many it found. Some of these may be gone by then, since another step was putting
   * them together, and what that made of them is not seen: who needs all of it asks until none is found.
   */
  const takeOut = Effect.fnUntraced(function* (
    measure: number,
    wanted: Wanted,
    reach: "alone" | "with all that are short",
  ) {
    const taken = new Map<number, Fact>()
    let found = 0
    const others = reach === "alone" ? sql`` : sql`OR octet_length(fragment) <= ${FRAGMENT_BYTES}`
    yield* inSlices(
      inOrder(wanted),
      (slice) =>
        Effect.map(
          sql<{ readonly found: number; readonly packed: string | null }>`
            WITH places AS MATERIALIZED (
              SELECT place FROM ${eachOf(slice)} CROSS JOIN LATERAL (
                SELECT ctid AS place FROM facts WHERE measure = ${measure} AND block = wanted_block
                  AND (held & wanted_held <> 0 ${others}) OFFSET 0) AS found),
            gone AS (DELETE FROM facts WHERE ctid = ANY(ARRAY(SELECT place FROM places)) RETURNING *)
            SELECT (SELECT count(*)::int FROM places) AS found, ${sql.literal(PACKED_FRAGMENTS)} AS packed FROM gone`,
          ([row]) => {
            found += row!.found
            unpackAll(row!.packed, (_, fragment) => unpackFragment(fragment, joinInto(taken)))
          },
        ),
      BLOCKS_AT_ONCE,
    )
    return { taken, found }
  })

  /** Adds fragments that say this. */
  const put = (measure: number, facts: ReadonlyMap<number, Fact>) =>
    copy(
      measure,
      Array.from(facts, ([key, fact]) => [key, fact.values()] as const),
    )

  const copy = Effect.fnUntraced(function* (
    measure: number,
    facts: ReadonlyArray<readonly [key: number, rows: Iterable<FactRow>]>,
  ) {
    const fragments = packFragments(facts.toSorted(([a], [b]) => a - b))
    if (fragments.length === 0) return
    const rows = fragments.map(({ block, held, bytes }) => [measure, block, held, bytes])
    yield* bulk.copy("facts", FACT_COLUMNS, copyBinary(rows))
  })

  const write = Effect.fnUntraced(function* (measure: number, changes: ReadonlyArray<FactChange>) {
    const replaced = new Set(changes.flatMap(({ key, replaces }) => (replaces ? [key] : [])))
    if (replaced.size > 0) {
      const blocks = blocksOf(replaced)
      for (;;) {
        const { taken, found } = yield* takeOut(measure, blocks, "alone")
        if (found === 0) break
        for (const key of replaced) taken.delete(key)
        yield* put(measure, taken)
      }
    }
    yield* copy(
      measure,
      changes.map(({ key, rows }) => [key, rows]),
    )
  })

  return { facts, write }
})

const inOrder = (wanted: Wanted) => [...wanted].sort(([a], [b]) => a - b)

const joinInto =
  (facts: Map<number, Fact>) =>
  (key: number, fact: Fact): void => {
    const held = facts.get(key)
    facts.set(key, held === undefined ? fact : joinFacts(held, fact))
  }

const note = (blocks: Map<number, BlockSeen>, block: number, bytes: number): void => {
  let seen = blocks.get(block)
  if (seen === undefined) {
    seen = { count: 0, lightBytes: 0, heavy: 0 }
    blocks.set(block, seen)
  }
  seen.count++
  if (bytes > FRAGMENT_BYTES) seen.heavy++
  else seen.lightBytes += bytes
}
