import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Fact, joinInto } from "../../src/domain/measure/Fact.ts"
import { unpackFragment } from "../../src/infra/sql/factFragment.ts"
import { PACKED_FRAGMENTS, unpackAll } from "../../src/infra/sql/packedFragments.ts"

/**
 * Everything that a rebuild has to give again. Identities are named, since their keys are given in the order of steps;
 * the older part of a device has a row from the first fact in it on, so it is compared where it has any. Facts are what
 * their fragments join to, since every step leaves fragments of its own; and who owns a checkpoint, under which epoch,
 * since when, is another matter with every run, as is a claim of what nothing was committed of.
 */
export const readTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const texts = (rows: ReadonlyArray<{ readonly row: string }>) => rows.map(({ row }) => row).sort()
  return {
    cells: texts(
      yield* sql<{
        row: string
      }>`SELECT json_build_array(coalesce(m.metric, 'intake'), m.version, c.day, c.stat, c.item,
        trim_scale(c.amount))::text AS row FROM cells c LEFT JOIN measures m ON m.id = c.measure WHERE c.amount <> 0`,
    ),
    facts: (yield* readFacts).map(({ metric, version, name, rows }) => `${metric}@${version} ${name} ${rows}`).sort(),
    distinctIds: texts(
      yield* sql<{ row: string }>`SELECT json_build_array(d.distinct_id, d.older, p.distinct_id, p.older, d.link_time,
        d.link_user)::text AS row FROM distinct_ids d JOIN distinct_ids p ON p.key = d.person
        WHERE NOT d.older OR EXISTS (
          SELECT FROM facts f WHERE f.block = d.key >> 5 AND f.held & (1 << (d.key & 31)) <> 0)`,
    ),
    aliases: texts(yield* sql<{ row: string }>`SELECT row_to_json(t)::text AS row FROM aliases t`),
    dedupe: texts(yield* sql<{ row: string }>`SELECT row_to_json(t)::text AS row FROM dedupe t`),
    duplicates: texts(yield* sql<{ row: string }>`SELECT row_to_json(t)::text AS row FROM duplicates t`),
    quarantine: texts(yield* sql<{ row: string }>`SELECT row_to_json(t)::text AS row FROM quarantine t`),
    checkpoints: texts(
      yield* sql<{ row: string }>`SELECT (to_jsonb(t) - '{epoch,owner,claimed_at,committed_at}'::text[])::text AS row
        FROM checkpoints t WHERE sequence IS NOT NULL`,
    ),
  }
})

/** What each measure remembers of each distinct id, whatever fragments say it. */
const readFacts = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const measures = yield* sql<{ readonly id: number; readonly metric: string; readonly version: number }>`
    SELECT id, metric, version FROM measures`
  const ids = yield* sql<{ readonly key: number; readonly name: string }>`
    SELECT key, json_build_array(distinct_id, older)::text AS name FROM distinct_ids`
  const nameOf = new Map(ids.map(({ key, name }) => [key, name]))
  return yield* Effect.forEach(measures, ({ id: measure, metric, version }) =>
    Effect.map(
      sql<{ readonly packed: string | null }>`
        SELECT ${sql.literal(PACKED_FRAGMENTS)} AS packed FROM facts WHERE measure = ${measure}`,
      ([row]) => {
        const facts = new Map<number, Fact>()
        unpackAll(row!.packed, (fragment) => unpackFragment(fragment, joinInto(facts)))
        return Array.from(facts, ([key, fact]) => {
          const rows = JSON.stringify([...fact].sort(([a], [b]) => (a < b ? -1 : 1)))
          return { measure, metric, version, name: nameOf.get(key)!, rows }
        })
      },
    ),
  ).pipe(Effect.map((all) => all.flat()))
})

/** The facts and cells of one build of a metric, as {@link readTables} gives them. */
export interface BuildRows {
  readonly name: string
  readonly state: string
  readonly rows: ReadonlyArray<string>
}

/** What each build holds, under the name of its version. */
export const readBuilds = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const builds = yield* sql<{ readonly id: number; readonly name: string; readonly state: string }>`
    SELECT id, metric || '@' || version AS name, state FROM measures WHERE state <> 'dropped' ORDER BY id`
  const cells = yield* sql<{ readonly measure: number; readonly row: string }>`
    SELECT measure, json_build_array(day, stat, item, trim_scale(amount))::text AS row FROM cells WHERE amount <> 0`
  const facts = yield* readFacts
  return builds.map(({ id, name, state }): BuildRows => {
    const ofCells = cells.filter(({ measure }) => measure === id).map(({ row }) => `cell ${row}`)
    const ofFacts = facts.flatMap(({ measure, name, rows }) => (measure === id ? [`fact ${name} ${rows}`] : []))
    return { name, state, rows: [...ofCells, ...ofFacts].sort() }
  })
})
