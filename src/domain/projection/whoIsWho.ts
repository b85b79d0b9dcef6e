import { type AliasStatement, joinLinks, joinStatements, statementKey } from "../identity/links.ts"
import { type Identity, resolvePersons } from "../identity/persons.ts"
import type { Fold } from "./Fold.ts"

/** Who is who among the distinct ids of a fold and all members of their persons, as the read model has it. */
export interface KnownIdentities {
  readonly rows: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  /** Keys for distinct ids that have none yet: never given before, positive, at least as many as are missing. */
  readonly newKeys: ReadonlyArray<number>
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
  const { all, changed } = joinedStatements(fold, known.statements)
  for (const row of resolvePersons([...rows.values()], all)) {
    if (before.get(row.key) !== undefined && before.get(row.key)!.person !== row.person) moved.add(row.key)
    rows.set(row.key, row)
  }
  return { rows, before, statements: changed, moved, relinked }
}

/** Statements that hold after a fold among those that were known, and those of them that are new or others than before. */
export const joinedStatements = (fold: Fold, known: ReadonlyArray<AliasStatement>) => {
  const statements = new Map(known.map((statement) => [statementKey(statement), statement]))
  const changed: Array<AliasStatement> = []
  for (const [key, statement] of fold.statements) {
    const held = statements.get(key)
    const joined = held === undefined ? statement : joinStatements(held, statement)
    if (joined !== held) {
      statements.set(key, joined)
      changed.push(joined)
    }
  }
  return { all: statements.values(), changed }
}

/** Rows of who is who in which nothing changes. */
export const unchangedIdentities = (identities: ReadonlyArray<Identity>): ResolvedIdentities => {
  const rows = new Map(identities.map((row) => [row.key, row]))
  return { rows, before: rows, statements: [], moved: new Set(), relinked: new Set() }
}
