import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { SerializationError, SqlError } from "effect/sql/SqlError"
import { type DistinctId, isAnonymous } from "../../domain/identity/distinctId.ts"
import { type AliasStatement, statementKey } from "../../domain/identity/links.ts"
import { type Identity, olderPartOf } from "../../domain/identity/persons.ts"
import type { KnownIdentities } from "../../domain/projection/whoIsWho.ts"
import { BulkCopy } from "./BulkCopy.ts"
import { copyText } from "./copyText.ts"
import { inSlices } from "./inSlices.ts"
import { SharedDatabase } from "./SharedDatabase.ts"
import { type AliasRow, type IdentityRow, readAlias, readIdentity } from "./rows.ts"
import { toStorable } from "./storableText.ts"

const IDENTITY_COLUMNS = ["key", "distinct_id", "older", "person", "link_time", "link_user"] as const

const personsChanged = new SqlError({
  reason: new SerializationError({
    cause: undefined,
    message: "persons gained members while their rows were waited for",
  }),
})

/**
 * Reads and writes who is who, for one step in one transaction, and before it the distinct ids of large steps.
 *
 * Two partitions may touch the same person at once. So the rows of all persons that a step looks up are locked, in one
 * statement and in the order of their keys, so that no two steps ever wait for each other. Whoever waited looks again: a
 * person may have gained members meanwhile, whose rows it can't lock any more in that order, and then the step is made
 * anew. So it is when two steps meet the same new distinct id, which the table's own uniqueness tells the later of them.
 * A row that is looked up alone is locked as well: whoever changes a person has all of its rows, and so waits for each other.
 */
export const makeIdentityTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bulk = yield* BulkCopy
  const shared = yield* SharedDatabase

  const membersOf = (names: ReadonlyArray<string>) => sql`
    SELECT key, distinct_id, older, person, link_time, link_user FROM distinct_ids WHERE person IN (
      SELECT person FROM distinct_ids WHERE distinct_id = ANY(${names}::text[]))`

  const rowsOf = (keys: ReadonlyArray<number>) => sql`SELECT * FROM distinct_ids WHERE key = ANY(${keys}::int[])`

  const membersAnd = (names: ReadonlyArray<string>, alone: ReadonlyArray<number>) => sql`
    SELECT * FROM distinct_ids WHERE key = ANY(${alone}::int[] || ARRAY(SELECT key FROM (${membersOf(names)}) AS members))`

  /** Rows of who is who that a query gives. */
  const readRows = Effect.fnUntraced(function* (query: ReturnType<typeof membersOf>) {
    const [found] = yield* sql<{ readonly rows: ReadonlyArray<IdentityRow> }>`
      SELECT coalesce(json_agg(json_build_array(key, distinct_id, older, person, link_time, link_user)), '[]') AS rows
      FROM (${query}) AS found`
    return found!.rows.map(readIdentity)
  })

  /** The older parts of devices that are not among the rows themselves. */
  const olderPartsOf = Effect.fnUntraced(function* (rows: ReadonlyArray<Identity>) {
    const held = new Set(rows.map(({ key }) => key))
    const keys = rows.flatMap(({ key, distinctId, older }) =>
      older || !isAnonymous(distinctId) || held.has(olderPartOf(key)) ? [] : [olderPartOf(key)],
    )
    return yield* readRows(rowsOf(keys))
  })

  /**
   * Rows of the next persons after one, in the order of the absolute values of their keys: about as many as `limit` says, of
   * whole persons, with the older parts of all devices among them; and the last of them, `null` when there is none.
   */
  const nextPersons = Effect.fnUntraced(function* (after: number, limit: number) {
    const [row] = yield* sql<{ readonly last: number | null }>`
      SELECT max(person) AS last FROM (
        SELECT person FROM (
          (SELECT person FROM distinct_ids WHERE person > ${after} ORDER BY person LIMIT ${limit})
          UNION ALL
          (SELECT -person FROM distinct_ids WHERE person < ${-after} ORDER BY person DESC LIMIT ${limit})
        ) AS both_parts ORDER BY person LIMIT ${limit}) AS next`
    const last = row!.last
    if (last === null) return null
    const rows = yield* readRows(sql`
      SELECT * FROM distinct_ids WHERE person > ${after} AND person <= ${last}
      UNION ALL SELECT * FROM distinct_ids WHERE person < ${-after} AND person >= ${-last}`)
    return { last, rows: [...rows, ...(yield* olderPartsOf(rows))] }
  })

  /**
   * Rows of a query, locked until the transaction ends; a conflict in time if it finds others once they are, which it may where
   * persons can have gained members.
   */
  const readLocked = Effect.fnUntraced(function* (query: ReturnType<typeof membersOf>, mayGrow: boolean) {
    if (!mayGrow) return yield* readRows(sql`${query} ORDER BY key FOR NO KEY UPDATE`)
    const [lock] = yield* sql<{ readonly keys: ReadonlyArray<number> }>`
      SELECT coalesce(json_agg(key), '[]') AS keys FROM (${query} ORDER BY key FOR NO KEY UPDATE) AS members`
    // What the statement gives may be of before it waited; this one sees what is.
    const rows = yield* readRows(query)
    const locked = new Set(lock!.keys)
    return rows.every(({ key }) => locked.has(key)) ? rows : yield* personsChanged
  })

  const statementsAmong = Effect.fnUntraced(function* (rows: ReadonlyArray<Identity>) {
    const users = rows.filter(({ distinctId }) => !isAnonymous(distinctId)).map(({ distinctId }) => distinctId.slice(2))
    const statements = new Map<string, AliasStatement>()
    yield* inSlices(users, (slice) =>
      Effect.gen(function* () {
        const names = slice.map(toStorable)
        const found = yield* sql<AliasRow>`
          SELECT * FROM aliases WHERE first_user = ANY(${names}::text[]) OR second_user = ANY(${names}::text[])`
        for (const row of found) {
          const statement = readAlias(row)
          statements.set(statementKey(statement), statement)
        }
      }),
    )
    return [...statements.values()]
  })

  const everybody = Effect.gen(function* () {
    return {
      rows: yield* readRows(sql`SELECT * FROM distinct_ids`),
      statements: (yield* sql<AliasRow>`SELECT * FROM aliases`).map(readAlias),
    }
  })

  /** Who is who as it stands. */
  const look = Effect.fnUntraced(function* (distinctIds: ReadonlyArray<DistinctId> | "all") {
    if (distinctIds === "all") return yield* everybody
    const rows = yield* readRows(membersOf(distinctIds.map(toStorable)))
    return { rows, statements: yield* statementsAmong(rows) }
  })

  /** Keys of distinct ids, in their order; `null` for those that have none. */
  const keysOf = (names: ReadonlyArray<string>) =>
    Effect.map(
      sql<{ readonly keys: ReadonlyArray<number | null> }>`
        SELECT coalesce(json_agg(d.key ORDER BY asked.place), '[]') AS keys
        FROM unnest(${names}::text[]) WITH ORDINALITY AS asked(distinct_id, place)
        LEFT JOIN distinct_ids d ON d.distinct_id = asked.distinct_id AND NOT d.older`,
      ([row]) => row!.keys,
    )

  /**
   * Makes distinct ids known, each as a person of its own, but for those that somebody else has made known meanwhile. In their
   * order, as those of a step are written, so that no two wait for each other.
   */
  const add = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
    const keys = yield* nextKeys(names.length)
    // Numbered as they come, since neighbours share rows of facts, and written in their order.
    const rows = names.map((name, n) => ({ name, key: keys[n]! })).sort((a, b) => (a.name < b.name ? -1 : 1))
    yield* inSlices(
      rows,
      (slice) => sql`
        INSERT INTO distinct_ids SELECT key, distinct_id, false, key, NULL, NULL FROM unnest(
          ${slice.map(({ key }) => key)}::int[], ${slice.map(({ name }) => name)}::text[]) AS row(key, distinct_id)
        ON CONFLICT (distinct_id, older) DO NOTHING`,
    )
  })

  /** Who is who for a step, which nobody else changes until its transaction ends, with keys for those not known yet. */
  const lookLocked = Effect.fnUntraced(function* (
    distinctIds: ReadonlyArray<DistinctId>,
    withOlderParts: boolean,
    alone: ReadonlyArray<number>,
  ) {
    const names = distinctIds.map(toStorable)
    const query = alone.length === 0 ? membersOf(names) : membersAnd(names, alone)
    const members = yield* shared ? readLocked(query, names.length > 0) : readRows(query)
    const rows = withOlderParts ? [...members, ...(yield* olderPartsOf(members))] : members
    const held = new Set(rows.filter(({ older }) => !older).map(({ distinctId }) => distinctId))
    const missing = distinctIds.reduce((count, distinctId) => count + (held.has(distinctId) ? 0 : 1), 0)
    return {
      rows,
      statements: yield* statementsAmong(alone.length === 0 ? rows : membersAmong(rows, distinctIds)),
      newKeys: missing === 0 ? [] : yield* nextKeys(missing),
    } satisfies KnownIdentities
  })

  const nextKeys = (count: number) =>
    Effect.map(
      sql<{ readonly keys: ReadonlyArray<number> }>`
        SELECT json_agg(nextval('distinct_id_keys')) AS keys FROM generate_series(1, ${count}::int)`,
      ([row]) => row!.keys,
    )

  /** Writes rows; those that `isKnown` says were read before are there already. */
  const write = Effect.fnUntraced(function* (rows: ReadonlyArray<Identity>, isKnown: (key: number) => boolean) {
    const added = rows
      .filter(({ key }) => !isKnown(key))
      .map((row) => ({ ...row, name: toStorable(row.distinctId) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    if (added.length > 0) {
      const text = copyText(
        added.map(({ key, name, older, person, link }) => [
          key,
          name,
          older,
          person,
          link?.time ?? null,
          link === null ? null : toStorable(link.userId),
        ]),
      )
      yield* bulk.copy("distinct_ids", IDENTITY_COLUMNS, text)
    }
    yield* inSlices(
      rows.filter(({ key }) => isKnown(key)),
      (slice) => sql`
        UPDATE distinct_ids d SET person = row.person, link_time = row.link_time, link_user = row.link_user
        FROM unnest(
          ${slice.map(({ key }) => key)}::int[], ${slice.map(({ person }) => person)}::int[],
          ${slice.map(({ link }) => link?.time ?? null)}::bigint[],
          ${slice.map(({ link }) => (link === null ? null : toStorable(link.userId)))}::text[])
          AS row(key, person, link_time, link_user)
        WHERE d.key = row.key`,
    )
  })

  const writeStatements = (statements: ReadonlyArray<AliasStatement>) =>
    inSlices(
      statements,
      (slice) => sql`
        INSERT INTO aliases SELECT * FROM unnest(
          ${slice.map((row) => toStorable(row.first))}::text[], ${slice.map((row) => toStorable(row.second))}::text[],
          ${slice.map((row) => row.time)}::bigint[], ${slice.map((row) => row.joined)}::bool[])
        ON CONFLICT (first_user, second_user) DO UPDATE SET time = excluded.time, joined = excluded.joined`,
    )

  return { look, keysOf, add, lookLocked, nextPersons, write, writeStatements }
})

/** Of rows, those of the persons that distinct ids belong to. */
const membersAmong = (
  rows: ReadonlyArray<Identity>,
  distinctIds: ReadonlyArray<DistinctId>,
): ReadonlyArray<Identity> => {
  const asked = new Set(distinctIds)
  const persons = new Set(rows.filter(({ distinctId }) => asked.has(distinctId)).map(({ person }) => person))
  return rows.filter(({ person }) => persons.has(person))
}
