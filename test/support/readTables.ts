import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { joinFragments, type PackedFragment } from "../../src/infra/sql/factRows.ts"

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
    facts: Array.from(
      yield* sql<{ readonly name: string; readonly fragments: ReadonlyArray<PackedFragment> }>`
        SELECT json_build_array(m.metric, m.version, d.distinct_id, d.older)::text AS name, json_agg(json_build_array(
          f.measure, f.key, f.month, f.mask, f.items, f.masks, encode(f.points, 'hex'))) AS fragments
        FROM facts f JOIN measures m ON m.id = f.measure JOIN distinct_ids d ON d.key = f.key GROUP BY name`,
      ({ name, fragments }) => {
        const rows = [...joinFragments(fragments)].sort(([a], [b]) => (a < b ? -1 : 1))
        return `${name} ${JSON.stringify(rows)}`
      },
    ).sort(),
    distinctIds: texts(
      yield* sql<{ row: string }>`SELECT json_build_array(d.distinct_id, d.older, p.distinct_id, p.older, d.link_time,
        d.link_user)::text AS row FROM distinct_ids d JOIN distinct_ids p ON p.key = d.person
        WHERE NOT d.older OR EXISTS (SELECT FROM facts f WHERE f.key = d.key)`,
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
  const facts = yield* sql<{
    readonly measure: number
    readonly name: string
    readonly fragments: ReadonlyArray<PackedFragment>
  }>`SELECT f.measure, json_build_array(d.distinct_id, d.older)::text AS name, json_agg(json_build_array(
      f.measure, f.key, f.month, f.mask, f.items, f.masks, encode(f.points, 'hex'))) AS fragments
    FROM facts f JOIN distinct_ids d ON d.key = f.key GROUP BY f.measure, name`
  return builds.map(({ id, name, state }): BuildRows => {
    const ofCells = cells.filter(({ measure }) => measure === id).map(({ row }) => `cell ${row}`)
    const ofFacts = facts.flatMap(({ measure, name, fragments }) => {
      if (measure !== id) return []
      const rows = [...joinFragments(fragments)].sort(([a], [b]) => (a < b ? -1 : 1))
      return [`fact ${name} ${JSON.stringify(rows)}`]
    })
    return { name, state, rows: [...ofCells, ...ofFacts].sort() }
  })
})
