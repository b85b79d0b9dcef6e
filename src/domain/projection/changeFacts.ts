import { type DistinctId, isAnonymous } from "../identity/distinctId.ts"
import { type Identity, mergeBorder, olderPartOf } from "../identity/persons.ts"
import { EMPTY_FACT, type Fact, joinFacts, newsIn, splitFact } from "../measure/Fact.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { type CountedRange, isCounted, NOBODY } from "./counted.ts"
import type { Gathered } from "./Fold.ts"
import type { FactChange, KnownFacts } from "./StepChanges.ts"
import type { ResolvedIdentities } from "./whoIsWho.ts"

/** What facts become. */
export interface FactChanges {
  /** All rows of who is who, with those of older parts that came about. */
  readonly rows: ReadonlyMap<number, Identity>
  /** For each measure, what changes, and the facts before and after it: of `after` only those that changed. */
  readonly measures: ReadonlyArray<{
    readonly changes: ReadonlyArray<FactChange>
    readonly before: ReadonlyMap<number, Fact>
    readonly after: ReadonlyMap<number, Fact>
    /** Keys of the parts of devices between which facts went to and fro. */
    readonly recut: ReadonlySet<number>
  }>
}

/** By which rules facts are cut at the merge borders of devices. */
export interface CutRules {
  readonly mergeWindowMillis: number | null
  readonly zone: TimeZone
}

/**
 * Joins what was gathered of distinct ids with the facts that were known of them, measure by measure. A device's facts are
 * cut at its merge border when its person begins to be counted, and when the border moves; until then they are only
 * gathered. Pure.
 */
export const changeFacts = (
  gathered: ReadonlyMap<DistinctId, Gathered>,
  resolved: ResolvedIdentities,
  known: KnownFacts,
  counted: ReadonlyArray<CountedRange>,
  { mergeWindowMillis, zone }: CutRules,
): FactChanges => {
  const rows = new Map(resolved.rows)
  const olderKey = ({ key, distinctId }: Identity): number => {
    const older = olderPartOf(key)
    if (!rows.has(older)) rows.set(older, { key: older, distinctId, older: true, person: older, link: null })
    return older
  }
  const parts = Array.from(resolved.rows.values()).flatMap((row) => {
    if (row.older) return []
    const border = isAnonymous(row.distinctId) ? mergeBorder(row.link, mergeWindowMillis) : Number.NEGATIVE_INFINITY
    return [{ row, border, gathered: gathered.get(row.distinctId) }]
  })

  const measures = known.map((before, m) => {
    const { from, to } = counted[m]!
    const after = new Map<number, Fact>()
    const changes: Array<FactChange> = []
    const join = (key: number, gained: Fact): void => {
      if (gained.size === 0) return
      const held = before.get(key) ?? EMPTY_FACT
      const news = newsIn(gained, held)
      if (news.length === 0) return
      changes.push({ key, rows: news, replaces: false })
      after.set(key, joinFacts(held, gained))
    }
    const recut = new Set<number>()
    const replace = (key: number, fact: Fact): void => {
      recut.add(key)
      changes.push({ key, rows: [...fact.values()], replaces: before.has(key) })
      after.set(key, fact)
    }
    for (const { row, border, gathered } of parts) {
      if (to === NOBODY) {
        // Nothing is read of what is only gathered, and nothing made of it but rows to write.
        const gathering = gathered?.rowsOf(m) ?? null
        if (gathering !== null) changes.push({ key: row.key, rows: gathering, replaces: false })
        continue
      }
      const gained = gathered?.factOf(m) ?? EMPTY_FACT
      if (border === Number.NEGATIVE_INFINITY || !isCounted(to, row.person)) {
        join(row.key, gained)
        continue
      }
      const [gainedOlder, gainedMain] = splitFact(gained, border, zone)
      const person = resolved.before.get(row.key)?.person
      const begins = person !== undefined && !isCounted(from, person)
      // A link, once known, only ever moves to an earlier time, so what is inside the merge window stays inside.
      if (begins || resolved.relinked.has(row.key)) {
        const main = before.get(row.key) ?? EMPTY_FACT
        const older = before.get(olderPartOf(row.key)) ?? EMPTY_FACT
        const [leaving, staying] = splitFact(main, border, zone)
        const [remaining, returning] = splitFact(older, border, zone)
        if (leaving.size > 0 || returning.size > 0) {
          replace(row.key, joinFacts(joinFacts(staying, returning), gainedMain))
          replace(olderKey(row), joinFacts(joinFacts(remaining, leaving), gainedOlder))
          continue
        }
      }
      join(row.key, gainedMain)
      if (gainedOlder.size > 0) join(olderKey(row), gainedOlder)
    }
    return { changes, before, after, recut }
  })
  return { rows, measures }
}

/** Rows of who is who that are new, or others than before. */
export const changedIdentities = ({ rows }: FactChanges, { before }: ResolvedIdentities): ReadonlyArray<Identity> =>
  Array.from(rows.values()).filter((row) => before.get(row.key) !== row)
