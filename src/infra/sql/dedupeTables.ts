import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { DedupeEntry } from "../../domain/projection/DedupeIndex.ts"
import { LIVE_GROUP, type Step } from "../../domain/projection/ReadModel.ts"
import { inSlices } from "./inSlices.ts"
import type { SqlBigint } from "./rows.ts"

/** What was kept of ids within the dedupe horizon, and which events did not count. */
export const makeDedupeTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const dedupeEntries = (partition: number, from: number) =>
    Effect.map(
      sql<{ readonly sequence: SqlBigint; readonly logged_at: SqlBigint; readonly fingerprints: Uint8Array }>`
      SELECT sequence, logged_at, fingerprints FROM dedupe
      WHERE partition = ${partition} AND logged_at >= ${Number.isFinite(from) ? from : 0} ORDER BY sequence`,
      (rows): ReadonlyArray<DedupeEntry> =>
        rows.map((row) => ({
          sequence: Number(row.sequence),
          loggedAt: Number(row.logged_at),
          // Copied, since the driver's bytes may not be aligned to 32 bits.
          fingerprints: new Uint32Array(Uint8Array.from(row.fingerprints).buffer),
        })),
    )

  const duplicates = (partition: number, after: number) =>
    Effect.map(
      sql<{ readonly sequence: SqlBigint; readonly places: string }>`
      SELECT sequence, places FROM duplicates WHERE partition = ${partition} AND sequence > ${after}`,
      (rows): ReadonlyMap<number, ReadonlySet<number>> =>
        new Map(rows.map((row) => [Number(row.sequence), new Set(row.places.split(",").map(Number))])),
    )

  const write = Effect.fnUntraced(function* ({ group, partition, dedupe, dedupeFrom, duplicates }: Step) {
    if (group !== LIVE_GROUP) return
    yield* inSlices(
      dedupe,
      (slice) => sql`
      INSERT INTO dedupe SELECT ${partition}::int, sequence, logged_at, decode(fingerprints, 'base64') FROM unnest(
        ${slice.map(({ sequence }) => sequence)}::bigint[], ${slice.map(({ loggedAt }) => loggedAt)}::bigint[],
        ${slice.map(({ fingerprints }) => Buffer.from(fingerprints.buffer, fingerprints.byteOffset, fingerprints.byteLength).toString("base64"))}::text[])
        AS row(sequence, logged_at, fingerprints)`,
    )
    if (Number.isFinite(dedupeFrom)) {
      yield* sql`DELETE FROM dedupe WHERE partition = ${partition} AND logged_at < ${dedupeFrom}`
    }
    yield* inSlices(
      duplicates,
      (slice) => sql`
      INSERT INTO duplicates SELECT ${partition}::int, * FROM unnest(
        ${slice.map(({ sequence }) => sequence)}::bigint[], ${slice.map(({ places }) => places.join())}::text[])`,
    )
  })

  return { dedupeEntries, duplicates, write }
})
