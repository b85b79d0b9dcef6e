import { isAnonymous } from "../identity/distinctId.ts"
import { type AliasStatement, joinLinks, joinStatements, pairKey } from "../identity/links.ts"
import { type Identity, mergeBorder, resolvePersons } from "../identity/persons.ts"
import { EMPTY_FACT, type Fact, type FactKey, type FactRow, joinFacts, splitFact } from "../measure/Fact.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { type CellDelta, CellSums, mergeDeltas } from "./CellSums.ts"
import type { Fold } from "./Fold.ts"

/** Who is who among the distinct ids of a fold and all members of their persons, as the read model has it. */
export interface KnownIdentities {
  readonly rows: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  /** The next key to give. */
  readonly nextKey: number
}

/** Facts per measure (in the order of the fold's measures) and identity key; absent means empty. */
export type KnownFacts = ReadonlyArray<ReadonlyMap<number, Fact>>

/** Changes of the facts of one distinct id in one measure. */
export interface FactChange {
  readonly key: number
  readonly upserts: ReadonlyArray<FactRow>
  readonly deletes: ReadonlyArray<FactRow>
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
  readonly nextKey: number
}

/** Takes the fold's links and statements into account and works out all persons concerned. */
export const resolveIdentities = (fold: Fold, known: KnownIdentities): ResolvedIdentities => {
  const before = new Map(known.rows.map((row) => [row.key, row]))
  const mainOf = new Map(known.rows.filter((row) => !row.older).map((row) => [row.distinctId, row]))
  const rows = new Map(before)
  const moved = new Set<number>()
  const relinked = new Set<number>()
  let nextKey = known.nextKey
  for (const { distinctId, link } of fold.gathered.values()) {
    const row = mainOf.get(distinctId)
    if (row === undefined) {
      const key = nextKey++
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
  return { rows, before, statements: changed, moved, relinked, nextKey }
}

/**
 * Keys of all identities whose facts the second half of the step needs: every member of every person that gains
 * observations or members.
 */
export const factsNeeded = (fold: Fold, resolved: ResolvedIdentities): ReadonlyArray<number> => {
  const persons = new Set<number>()
  const relinked = new Set([...resolved.relinked].map((key) => resolved.rows.get(key)!.distinctId))
  for (const row of resolved.rows.values()) {
    const gains = fold.gathered.get(row.distinctId)?.facts.some((fact) => fact !== undefined) === true
    if (gains || resolved.moved.has(row.key) || relinked.has(row.distinctId)) {
      persons.add(row.person)
      persons.add(resolved.before.get(row.key)?.person ?? row.person)
    }
  }
  const needed: Array<number> = []
  for (const [key, row] of resolved.before) {
    if (persons.has(row.person) || persons.has(resolved.rows.get(key)!.person)) needed.push(key)
  }
  return needed
}

/**
 * The second half of a step: joins what the fold gathered with the facts that were known, and works out how every cell
 * changes, `Δcell = Σ over touched persons of contribute(after) − contribute(before)` (DESIGN §5). Pure.
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
  let nextKey = resolved.nextKey
  const olderKey = (row: Identity): number => {
    let key = olderOf.get(row.distinctId)
    if (key === undefined) {
      key = nextKey++
      olderOf.set(row.distinctId, key)
      rows.set(key, { key, distinctId: row.distinctId, older: true, person: key, link: null })
    }
    return key
  }

  const measures = fold.measures.map((measure, m) => {
    const before = known[m]!
    const after = new Map<number, Fact>()
    const factAfter = (key: number): Fact => after.get(key) ?? before.get(key) ?? EMPTY_FACT
    for (const row of resolved.rows.values()) {
      if (row.older) continue
      const gained = fold.gathered.get(row.distinctId)?.facts[m]?.build() ?? EMPTY_FACT
      const border = isAnonymous(row.distinctId) ? mergeBorder(row.link, mergeWindowMillis) : Number.NEGATIVE_INFINITY
      const main = before.get(row.key) ?? EMPTY_FACT
      if (border === Number.NEGATIVE_INFINITY) {
        if (gained.size > 0) after.set(row.key, joinFacts(main, gained))
        continue
      }
      // A link, once known, only ever moves to an earlier time, so what is inside the merge window stays inside.
      const borderMoved = resolved.relinked.has(row.key)
      const [gainedOlder, gainedMain] = splitFact(gained, border, zone)
      const [leaving, staying] = borderMoved ? splitFact(main, border, zone) : [EMPTY_FACT, main]
      const heldOlder = olderOf.get(row.distinctId)
      const older = heldOlder === undefined ? EMPTY_FACT : (before.get(heldOlder) ?? EMPTY_FACT)
      const [remaining, returning] = borderMoved ? splitFact(older, border, zone) : [older, EMPTY_FACT]
      const mainAfter = joinFacts(joinFacts(staying, returning), gainedMain)
      const olderAfter = joinFacts(joinFacts(remaining, leaving), gainedOlder)
      if (mainAfter !== main) after.set(row.key, mainAfter)
      if (olderAfter.size > 0 ? olderAfter !== older : heldOlder !== undefined && older.size > 0) {
        after.set(olderKey(row), olderAfter)
      }
    }
    return { measure, before, after, factAfter, tally: fold.tallies[m]! }
  })

  const membersBefore = groupByPerson(resolved.before.values())
  const membersAfter = groupByPerson(rows.values())
  const personBefore = (key: number): number | undefined => resolved.before.get(key)?.person
  const changes = measures.map(({ measure, before, after, factAfter, tally }) => {
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
      if (was.size > 0) measure.contribute(was, sums.subtract)
      const is = joinAll(membersAfter.get(person), factAfter)
      if (is.size > 0) measure.contribute(is, sums.add)
    }
    const facts: Array<FactChange> = []
    for (const [key, fact] of after) {
      const change = compareFacts(key, before.get(key) ?? EMPTY_FACT, fact)
      if (change !== null) facts.push(change)
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

/** Rows that are new or changed, and rows that are gone. Rows that a join left alone are the same objects. */
const compareFacts = (key: number, before: Fact, after: Fact): FactChange | null => {
  const upserts: Array<FactRow> = []
  const deletes: Array<FactRow> = []
  after.forEach((row, at: FactKey) => {
    if (before.get(at) !== row) upserts.push(row)
  })
  before.forEach((row, at: FactKey) => {
    if (!after.has(at)) deletes.push(row)
  })
  return upserts.length === 0 && deletes.length === 0 ? null : { key, upserts, deletes }
}
