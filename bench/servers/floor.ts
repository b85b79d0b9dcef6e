import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { seconds } from "./timing.ts"

/** What a replay leaves behind, in the tables that it can't do without. */
const TABLES = ["distinct_ids", "facts", "cells", "dedupe", "checkpoints"]

/**
 * PostgreSQL copies what a replay left into empty tables with the same indexes, in one transaction, and nobody sends it anything: no
 * replay into these tables takes less, s.
 */
export const writesAlone = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const copies = Effect.forEach(
    TABLES,
    (table) =>
      Effect.andThen(
        sql`CREATE TABLE ${sql(`floor_${table}`)} (LIKE ${sql(table)} INCLUDING ALL)`,
        sql`INSERT INTO ${sql(`floor_${table}`)} SELECT * FROM ${sql(table)}`,
      ),
    { discard: true },
  )
  const took = yield* seconds(sql.withTransaction(copies))
  for (const table of TABLES) yield* sql`DROP TABLE ${sql(`floor_${table}`)}`
  return took
})
