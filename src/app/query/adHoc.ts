import { Effect } from "effect"
import { type Fact, joinInto } from "../../domain/measure/Fact.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import { type KnownIdentities, resolveIdentities } from "../../domain/projection/whoIsWho.ts"
import { changeFacts } from "../../domain/projection/changeFacts.ts"
import { ALL_COUNTED } from "../../domain/projection/counted.ts"
import { Fold } from "../../domain/projection/Fold.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import { type Extent, readExtents, scanLog } from "./scanLog.ts"

/** What the tables say of the stored events, as one snapshot of them. */
interface Stand {
  readonly extents: ReadonlyArray<Extent>
  /** Who is who, of everybody. */
  readonly known: Pick<KnownIdentities, "rows" | "statements">
}

/** Partitions whose batches are read at once: while the log finds those of one, others are folded. */
const PARTITIONS_AT_ONCE = 4

/** Reads what facts of a metric, or of a measure that nobody declared (`null`), are made from beside the log. */
export const readStand = Effect.fnUntraced(function* (metric: string | null) {
  const queries = yield* ReadModelQueries
  return { extents: yield* readExtents(metric), known: yield* queries.identities("all") } satisfies Stand
})

/**
 * The facts of every person for a measure that nobody has declared, folded from the stored events by the engine that
 * folds the declared ones.
 */
export const adHocFacts = Effect.fnUntraced(function* (
  measure: Measure,
  { extents, known }: Stand,
  zone: TimeZone,
  mergeWindowMillis: number | null,
) {
  const fold = new Fold([measure], zone)
  yield* scanLog(
    extents,
    (partition, sequence, batch, leftOut) => fold.add(partition, sequence, batch, leftOut),
    PARTITIONS_AT_ONCE,
  )
  // Who is who of what is projected is in the tables, so no new keys are needed.
  const resolved = resolveIdentities(fold, { ...known, newKeys: [] })
  const { rows, measures } = changeFacts(fold.gathered, resolved, [new Map()], [ALL_COUNTED], {
    mergeWindowMillis,
    zone,
  })
  const byPerson = new Map<number, Fact>()
  const join = joinInto(byPerson)
  for (const [key, fact] of measures[0]!.after) join(rows.get(key)!.person, fact)
  return byPerson
})
