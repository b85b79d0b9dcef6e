import { isAnonymous } from "../identity/distinctId.ts"
import { type AliasStatement, joinLinks, joinStatements, pairKey } from "../identity/links.ts"
import { type Identity, mergeBorder, olderPartOf, resolvePersons } from "../identity/persons.ts"
import { EMPTY_FACT, type Fact, type FactRow, joinFacts, newsIn, splitFact } from "../measure/Fact.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { type CellDelta, CellSums, mergeDeltas } from "./CellSums.ts"
import { type Counting, counts, EVERYBODY, type Mark, NOBODY } from "./counting.ts"
import type { Fold } from "./Fold.ts"

/** Who is who among the distinct ids of a fold and all members of their persons, as the read model has it. */
export interface KnownIdentities {
  readonly rows: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  /** Keys for distinct ids that have none yet: never given before, positive, at least as many as are missing. */
  readonly newKeys: ReadonlyArray<number>
}

/** A measure as a step has to do with it. */
export interface StepMeasure {
  /** Whether the step folds no events into it, and only moves what persons contribute when they turn out to be others. */
  readonly follows: boolean
  readonly mark: Mark
}

/** Facts per measure (in the order of the fold's measures) and identity key; absent means empty. */
export type KnownFacts = ReadonlyArray<ReadonlyMap<number, Fact>>

/** Change of the fact of one distinct id in one measure: `rows` are joined to it, or take its place. */
export interface FactChange {
  readonly key: number
  readonly rows: ReadonlyArray<FactRow>
  readonly replaces: boolean
}

/** Everything that one step changes, per measure in the order of the fold's measures. */
export interface StepChanges {
  readonly identities: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  readonly measures: ReadonlyArray<{
    readonly facts: ReadonlyArray<FactChange>
    readonly cells: ReadonlyArray<CellDelta>
  }>
}

/** Who is who after a fold: worked out before facts are loaded, since it says whose facts are needed. */
export interface ResolvedIdentities {
  readonly rows: ReadonlyMap<number, Identity>
  readonly before: ReadonlyMap<number, Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  /** Keys whose person changed. */
  readonly moved: ReadonlySet<number>
  /** Keys of devices whose merge border changed. */
  readonly relinked: ReadonlySet<number>
}

/** Takes the fold's links and statements into account and works out all persons concerned. */
export const resolveIdentities = (fold: Fold, known: KnownIdentities): ResolvedIdentities => {
  const before = new Map(known.rows.map((row) => [row.key, row]))
  const mainOf = new Map(known.rows.filter((row) => !row.older).map((row) => [row.distinctId, row]))
  const rows = new Map(before)
  const moved = new Set<number>()
  const relinked = new Set<number>()
  let given = 0
  for (const { distinctId, link } of fold.gathered.values()) {
    const row = mainOf.get(distinctId)
    if (row === undefined) {
      const key = known.newKeys[given++]
      if (key === undefined) throw new RangeError("the read model gave fewer keys than distinct ids are missing")
      rows.set(key, { key, distinctId, older: false, person: key, link })
    } else if (link !== null) {
      const joined = joinLinks(row.link, link)
      if (joined !== row.link) {
        rows.set(row.key, { ...row, link: joined })
        relinked.add(row.key)
      }
    }
  }
  const statements = new Map(known.statements.map((statement) => [pairKey(statement), statement]))
  const changed: Array<AliasStatement> = []
  for (const [key, statement] of fold.statements) {
    const held = statements.get(key)
    const joined = held === undefined ? statement : joinStatements(held, statement)
    if (joined !== held) {
      statements.set(key, joined)
      changed.push(joined)
    }
  }
  for (const row of resolvePersons([...rows.values()], statements.values())) {
    if (before.get(row.key) !== undefined && before.get(row.key)!.person !== row.person) moved.add(row.key)
    rows.set(row.key, row)
  }
  return { rows, before, statements: changed, moved, relinked }
}

/**
 * Whose facts the second half of the step needs, for each measure: those of every member of every person that is counted
 * and gains observations or members. Measures that need the same have the same list.
 */
export const factsNeeded = (
  fold: Fold,
  resolved: ResolvedIdentities,
  measures: ReadonlyArray<StepMeasure>,
): ReadonlyArray<ReadonlyArray<number>> => {
  const changed = new Set<number>()
  const gaining = new Set<number>()
  const relinked = new Set([...resolved.relinked].map((key) => resolved.rows.get(key)!.distinctId))
  for (const row of resolved.rows.values()) {
    const gains = fold.gathered.get(row.distinctId)?.facts.some((fact) => fact !== undefined) === true
    const becomesAnother = resolved.moved.has(row.key) || relinked.has(row.distinctId)
    if (!gains && !becomesAnother) continue
    const persons = becomesAnother ? changed : gaining
    persons.add(row.person)
    persons.add(resolved.before.get(row.key)?.person ?? row.person)
  }
  const needOf = ({ follows, mark }: StepMeasure): ReadonlyArray<number> => {
    if (mark === NOBODY) return []
    const needed = new Set<number>()
    for (const [key, { person }] of resolved.before) {
      const after = resolved.rows.get(key)!.person
      const touched =
        changed.has(person) || changed.has(after) || (!follows && (gaining.has(person) || gaining.has(after)))
      if (!touched || !(counts(mark, person) || counts(mark, after))) continue
      needed.add(key)
      // Its device may be cut anew, whether or not the older part, a person by itself, is counted.
      if (mark !== EVERYBODY && resolved.before.has(olderPartOf(key))) needed.add(olderPartOf(key))
    }
    return [...needed]
  }
  const needs = new Map<string, ReadonlyArray<number>>()
  return measures.map((measure) => {
    const alike = `${measure.follows}|${measure.mark}`
    const need = needs.get(alike) ?? needOf(measure)
    needs.set(alike, need)
    return need
  })
}

/** Rows of who is who in which nothing changes. */
export const unchangedIdentities = (identities: ReadonlyArray<Identity>): ResolvedIdentities => {
  const rows = new Map(identities.map((row) => [row.key, row]))
  return { rows, before: rows, statements: [], moved: new Set(), relinked: new Set() }
}

/**
 * The second half of a step: joins what the fold gathered with the facts that were known, and works out how every cell
 * changes, `Δcell = Σ over touched persons of contribute(after) − contribute(before)` (docs/explanation/the-algebra.md),
 * where a person that isn't counted contributes nothing. Pure.
 *
 * Facts of a device are cut at its merge border when its person begins to be counted; until then they are only gathered.
 */
export const completeStep = (
  fold: Fold,
  resolved: ResolvedIdentities,
  known: KnownFacts,
  counting: ReadonlyArray<Counting>,
  mergeWindowMillis: number | null,
  zone: TimeZone,
): StepChanges => {
  const rows = new Map(resolved.rows)
  const olderOf = new Map<string, number>()
  for (const row of rows.values()) if (row.older) olderOf.set(row.distinctId, row.key)
  const olderKey = (row: Identity): number => {
    const key = olderPartOf(row.key)
    if (!olderOf.has(row.distinctId)) {
      olderOf.set(row.distinctId, key)
      rows.set(key, { key, distinctId: row.distinctId, older: true, person: key, link: null })
    }
    return key
  }

  const parts = Array.from(resolved.rows.values()).flatMap((row) => {
    if (row.older) return []
    const border = isAnonymous(row.distinctId) ? mergeBorder(row.link, mergeWindowMillis) : Number.NEGATIVE_INFINITY
    return [{ row, border, gathered: fold.gathered.get(row.distinctId) }]
  })
  const personBefore = (key: number): number | undefined => resolved.before.get(key)?.person

  const measures = fold.measures.map((measure, m) => {
    const before = known[m]!
    const { from, to } = counting[m]!
    const after = new Map<number, Fact>()
    const changes: Array<FactChange> = []
    const factAfter = (key: number): Fact => after.get(key) ?? before.get(key) ?? EMPTY_FACT
    const join = (key: number, gained: Fact): void => {
      if (gained.size === 0) return
      const held = before.get(key) ?? EMPTY_FACT
      const news = newsIn(gained, held)
      if (news.length === 0) return
      changes.push({ key, rows: news, replaces: false })
      after.set(key, joinFacts(held, gained))
    }
    const replace = (key: number, fact: Fact): void => {
      changes.push({ key, rows: [...fact.values()], replaces: before.has(key) })
      after.set(key, fact)
    }
    for (const { row, border, gathered } of parts) {
      const gained = gathered?.facts[m]?.build() ?? EMPTY_FACT
      if (border === Number.NEGATIVE_INFINITY || !counts(to, row.person)) {
        join(row.key, gained)
        continue
      }
      const [gainedOlder, gainedMain] = splitFact(gained, border, zone)
      const person = personBefore(row.key)
      const begins = person !== undefined && !counts(from, person)
      // A link, once known, only ever moves to an earlier time, so what is inside the merge window stays inside.
      if (begins || resolved.relinked.has(row.key)) {
        const main = before.get(row.key) ?? EMPTY_FACT
        const older = before.get(olderOf.get(row.distinctId) ?? Number.NaN) ?? EMPTY_FACT
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
    return { measure, before, after, factAfter, changes, from, to, tally: fold.tallies[m]! }
  })

  const membersBefore = groupByPerson(resolved.before.values())
  const membersAfter = groupByPerson(rows.values())
  const changes = measures.map(({ measure, before, after, factAfter, changes: facts, from, to, tally }) => {
    if (to === NOBODY) return { facts, cells: tally.deltas() }
    const touched = new Set<number>()
    if (from !== to) for (const { person } of rows.values()) touched.add(person)
    for (const key of [...after.keys(), ...resolved.moved]) {
      touched.add(rows.get(key)!.person)
      const person = personBefore(key)
      if (person !== undefined) touched.add(person)
    }
    const merged = new Set<number>()
    for (const key of resolved.moved) {
      merged.add(rows.get(key)!.person)
      merged.add(personBefore(key)!)
    }
    const gained = new CellSums()
    const moved = new CellSums()
    for (const person of touched) {
      const sums = merged.has(person) ? moved : gained
      const was = counts(from, person)
        ? joinAll(membersBefore.get(person), (key) => before.get(key) ?? EMPTY_FACT)
        : EMPTY_FACT
      const is = counts(to, person) ? joinAll(membersAfter.get(person), factAfter) : EMPTY_FACT
      measure.contributeChange(was, is, sums.subtract, sums.add)
    }
    return { facts, cells: [...tally.deltas(), ...mergeDeltas(gained, moved)] }
  })

  return {
    identities: [...rows.values()].filter((row) => resolved.before.get(row.key) !== row),
    statements: resolved.statements,
    measures: changes,
  }
}

const groupByPerson = (rows: Iterable<Identity>): ReadonlyMap<number, ReadonlyArray<number>> => {
  const members = new Map<number, Array<number>>()
  for (const { key, person } of rows) {
    const keys = members.get(person)
    if (keys === undefined) members.set(person, [key])
    else keys.push(key)
  }
  return members
}

const joinAll = (keys: ReadonlyArray<number> | undefined, factOf: (key: number) => Fact): Fact =>
  (keys ?? []).reduce((joined, key) => joinFacts(joined, factOf(key)), EMPTY_FACT)
