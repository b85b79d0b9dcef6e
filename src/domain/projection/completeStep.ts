import { isAnonymous } from "../identity/distinctId.ts"
import { type AliasStatement, joinLinks, joinStatements, pairKey } from "../identity/links.ts"
import { type Identity, mergeBorder, resolvePersons } from "../identity/persons.ts"
import { EMPTY_FACT, type Fact, type FactRow, joinFacts, newsIn, splitFact } from "../measure/Fact.ts"
import type { Month } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { type CellDelta, CellSums, mergeDeltas } from "./CellSums.ts"
import type { Fold } from "./Fold.ts"

/** Who is who among the distinct ids of a fold and all members of their persons, as the read model has it. */
export interface KnownIdentities {
  readonly rows: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  /** Keys for distinct ids that have none yet: never given before, positive, at least as many as are missing. */
  readonly newKeys: ReadonlyArray<number>
}

/**
 * Facts that a step needs. Of `whole` it needs every row; of `gaining`, for measures that contribute month by month, only
 * those of `months`, and for the others every row.
 */
export interface FactsNeeded {
  readonly whole: ReadonlyArray<number>
  readonly gaining: ReadonlyArray<number>
  readonly months: ReadonlyArray<Month>
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
 * Whose facts the second half of the step needs: those of every member of every person that gains observations or
 * members.
 */
export const factsNeeded = (fold: Fold, resolved: ResolvedIdentities): FactsNeeded => {
  const changed = new Set<number>()
  const gaining = new Set<number>()
  const months = new Set<Month>()
  for (const { facts } of fold.gathered.values()) {
    for (const fact of facts) for (const month of fact?.months ?? []) months.add(month)
  }
  const relinked = new Set([...resolved.relinked].map((key) => resolved.rows.get(key)!.distinctId))
  for (const row of resolved.rows.values()) {
    const gains = fold.gathered.get(row.distinctId)?.facts.some((fact) => fact !== undefined) === true
    const becomesAnother = resolved.moved.has(row.key) || relinked.has(row.distinctId)
    if (!gains && !becomesAnother) continue
    const persons = becomesAnother ? changed : gaining
    persons.add(row.person)
    persons.add(resolved.before.get(row.key)?.person ?? row.person)
  }
  const needed = { whole: [] as Array<number>, gaining: [] as Array<number>, months: [...months] }
  for (const [key, row] of resolved.before) {
    const after = resolved.rows.get(key)!.person
    if (changed.has(row.person) || changed.has(after)) needed.whole.push(key)
    else if (gaining.has(row.person) || gaining.has(after)) needed.gaining.push(key)
  }
  return needed
}

/**
 * The second half of a step: joins what the fold gathered with the facts that were known, and works out how every cell
 * changes, `Δcell = Σ over touched persons of contribute(after) − contribute(before)` (docs/explanation/the-algebra.md). Pure.
 */
export const completeStep = (
  fold: Fold,
  resolved: ResolvedIdentities,
  known: KnownFacts,
  mergeWindowMillis: number | null,
  zone: TimeZone,
): StepChanges => {
  const rows = new Map(resolved.rows)
  const olderOf = new Map<string, number>()
  for (const row of rows.values()) if (row.older) olderOf.set(row.distinctId, row.key)
  /** The older part of a device has the negative of the device's key, so it needs none given. */
  const olderKey = (row: Identity): number => {
    const key = -row.key
    if (!olderOf.has(row.distinctId)) {
      olderOf.set(row.distinctId, key)
      rows.set(key, { key, distinctId: row.distinctId, older: true, person: key, link: null })
    }
    return key
  }

  const parts = Array.from(resolved.rows.values()).flatMap((row) => {
    if (row.older) return []
    const border = isAnonymous(row.distinctId) ? mergeBorder(row.link, mergeWindowMillis) : Number.NEGATIVE_INFINITY
    const gathered = fold.gathered.get(row.distinctId)
    // A border can only have moved where a link was gathered, so what gathered nothing keeps its facts as they are.
    return gathered === undefined ? [] : [{ row, border, gathered }]
  })

  const measures = fold.measures.map((measure, m) => {
    const before = known[m]!
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
      const gained = gathered.facts[m]?.build() ?? EMPTY_FACT
      if (border === Number.NEGATIVE_INFINITY) {
        join(row.key, gained)
        continue
      }
      const [gainedOlder, gainedMain] = splitFact(gained, border, zone)
      // A link, once known, only ever moves to an earlier time, so what is inside the merge window stays inside.
      if (resolved.relinked.has(row.key)) {
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
    return { measure, before, after, factAfter, changes, tally: fold.tallies[m]! }
  })

  const membersBefore = groupByPerson(resolved.before.values())
  const membersAfter = groupByPerson(rows.values())
  const personBefore = (key: number): number | undefined => resolved.before.get(key)?.person
  const changes = measures.map(({ measure, before, after, factAfter, changes: facts, tally }) => {
    const touched = new Set<number>()
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
      const was = joinAll(membersBefore.get(person), (key) => before.get(key) ?? EMPTY_FACT)
      const is = joinAll(membersAfter.get(person), factAfter)
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
