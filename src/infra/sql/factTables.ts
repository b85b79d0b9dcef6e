import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, type FactRow, joinInto } from "../../domain/measure/Fact.ts"
import type { FactChange, KnownFacts } from "../../domain/projection/StepChanges.ts"
import type { FactsOf } from "../../domain/projection/ReadModel.ts"
import { BulkCopy } from "./BulkCopy.ts"
import { byBlock, type Identities } from "./blocks.ts"
import { copyBinary } from "./copyBinary.ts"
import { Crowding } from "./Crowding.ts"
import { type Fragment, packFragments, unpackFragment } from "./factFragment.ts"
import { inSlices, slicesOf } from "./inSlices.ts"
import { BLOCKS_AT_ONCE, PACKED_FRAGMENTS, readSlices, unpackAll } from "./packedFragments.ts"

const COLUMNS = ["measure", "block", "held", "fragment"] as const

/** Blocks whose fragments are taken out in one statement, whose answer can't be cut: of each only some identities'. */
const TAKEN_AT_ONCE = 200

/** Identities of which too many fragments tell, by measure. */
export type Crowded = Map<number, Identities>

/**
 * Reads and writes facts, for one step in one transaction. Steps hold locks on their own identities, and fragments tell of
 * others too: what is deleted is therefore read by the statement that deletes it, and written again.
 */
export const makeFactTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bulk = yield* BulkCopy

  /** What is known of identities; notes in `crowded` which of them to put together. */
  const facts = Effect.fnUntraced(function* (needs: ReadonlyArray<FactsOf>, crowded: Crowded) {
    const known = new Map(needs.map(({ measure }) => [measure, new Map<number, Fact>()]))
    // Measures that need the same are asked for together.
    for (const [identities, group] of Map.groupBy(needs, ({ keys }) => keys)) {
      const wanted = byBlock(identities)
      const crowdings = new Map(group.map(({ measure }) => [measure, new Crowding()]))
      const measures = [...crowdings.keys()]
      const take = (fragment: Fragment, measure: number): void => {
        crowdings.get(measure)!.note(fragment.block, fragment.bytes.length)
        unpackFragment(fragment, joinInto(known.get(measure)!), wanted.get(fragment.block))
      }
      // Block by block, by the index: left to itself PostgreSQL reads the whole table, with all its processes, from some
      // thousand blocks on.
      const fragmentsOf = (blocks: Blocks) => sql`
        SELECT measure, block, held, fragment FROM ${eachOf(blocks)} CROSS JOIN LATERAL (
          SELECT * FROM facts WHERE measure = ANY(${measures}::int[]) AND block = wanted_block
            AND held & wanted_held <> 0 OFFSET 0) AS of_block`
      const slices = slicesOf([...wanted], BLOCKS_AT_ONCE)
      const fragmentsFrom = (slice: Blocks, from: number) => fragmentsOf(slice.filter(([block]) => block >= from))
      yield* readSlices(sql, slices, fragmentsFrom, take, Effect.void)
      for (const [measure, crowding] of crowdings) {
        const found = crowding.crowded(wanted, known.get(measure)!)
        if (found.size > 0) crowded.set(measure, found)
      }
    }
    return needs.map(({ measure }) => known.get(measure)!) satisfies KnownFacts
  })

  const eachOf = (blocks: Blocks) => sql`
    unnest(${blocks.map(([block]) => block)}::int[], ${blocks.map(([, held]) => held)}::int[])
      AS wanted(wanted_block, wanted_held)`

  /**
   * Deletes the fragments that tell of certain identities, and gives what they said, of whomever. `missed`: some that it found
   * were gone by then, since another step was putting them together; what that made of them is not among what was found. With
   * `SKIP LOCKED` it leaves what another step has its hands on.
   *
   * What is deleted must be just what was found, whatever comes meanwhile: hence by place, and found once. In the order of
   * blocks, so that steps that wait for each other do so in one order.
   */
  const takeOut = Effect.fnUntraced(function* (measure: number, wanted: Identities, locking = sql``) {
    const taken = new Map<number, Fact>()
    let missed = false
    yield* inSlices(
      [...wanted],
      (slice) =>
        Effect.map(
          sql<{ readonly missed: boolean; readonly packed: string | null }>`
            WITH places AS MATERIALIZED (
              SELECT place FROM ${eachOf(slice)} CROSS JOIN LATERAL (
                SELECT ctid AS place FROM facts WHERE measure = ${measure} AND block = wanted_block
                  AND held & wanted_held <> 0 OFFSET 0 ${locking}) AS of_block),
            gone AS (DELETE FROM facts WHERE ctid = ANY(ARRAY(SELECT place FROM places)) RETURNING *)
            SELECT (SELECT count(*) FROM places) > count(*) AS missed, ${sql.literal(PACKED_FRAGMENTS)} AS packed FROM gone`,
          ([row]) => {
            missed ||= row!.missed
            unpackAll(row!.packed, (fragment) => unpackFragment(fragment, joinInto(taken)))
          },
        ),
      TAKEN_AT_ONCE,
    )
    return { taken, missed }
  })

  const insertFacts = (measure: number, facts: ReadonlyMap<number, Fact>) =>
    insertRows(
      measure,
      Array.from(facts, ([identity, fact]) => [identity, fact.values()] as const),
    )

  /** Adds fragments that say this. */
  const insertRows = Effect.fnUntraced(function* (
    measure: number,
    facts: ReadonlyArray<readonly [identity: number, rows: Iterable<FactRow>]>,
  ) {
    const fragments = packFragments(facts.toSorted(([a], [b]) => a - b))
    if (fragments.length === 0) return
    const rows = fragments.map(({ block, held, bytes }) => [measure, block, held, bytes])
    yield* bulk.copy("facts", COLUMNS, copyBinary(rows))
  })

  /** Deletes all that is known of identities. */
  const forget = Effect.fnUntraced(function* (measure: number, identities: ReadonlyArray<number>) {
    const wanted = byBlock(identities)
    for (let missed = wanted.size > 0; missed;) {
      const found = yield* takeOut(measure, wanted)
      for (const identity of identities) found.taken.delete(identity)
      yield* insertFacts(measure, found.taken)
      missed = found.missed
    }
  })

  const write = Effect.fnUntraced(function* (measure: number, changes: ReadonlyArray<FactChange>) {
    yield* forget(
      measure,
      changes.flatMap(({ key, replaces }) => (replaces ? [key] : [])),
    )
    yield* insertRows(
      measure,
      changes.map(({ key, rows }) => [key, rows]),
    )
  })

  /** Puts together what is told of identities in too many fragments; says nothing new, and waits for nobody. */
  const compact = Effect.fnUntraced(function* (crowded: Crowded) {
    for (const [measure, identities] of crowded) {
      yield* insertFacts(measure, (yield* takeOut(measure, identities, sql`FOR UPDATE SKIP LOCKED`)).taken)
    }
  })

  return { facts, write, compact }
})

type Blocks = ReadonlyArray<readonly [block: number, held: number]>
