import { Effect, Layer } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { RejectionReason } from "../../domain/event/admit.ts"
import { LogUnavailable } from "../../domain/log/errors.ts"
import { fingerprintOfLine, Quarantine, type QuarantinedLine } from "../../domain/log/Quarantine.ts"
import { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"
import { inSlices } from "./inSlices.ts"
import type { SqlBigint } from "./rows.ts"

/**
 * The quarantine's table has migrations of its own, beside those of the read model: a new layout of the read model drops
 * its tables, which the log can fill again, and no log could fill this one.
 */
const MIGRATIONS = {
  "0001_create_quarantined_lines": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE quarantined_lines (
      id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
      fingerprint text NOT NULL UNIQUE,
      reason text NOT NULL,
      line text NOT NULL
    )`
  }),
}

const MIGRATIONS_TABLE = "quarantine_migrations"

/** The quarantine in Postgres, for a project on servers. Lines are JSON in text, since Postgres' own JSON and text take no NUL. */
export const layerSqlQuarantine: Layer.Layer<Quarantine, ReadModelUnavailable, SqlClient.SqlClient> = Layer.effect(
  Quarantine,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* Migrator.make({})({ loader: Migrator.fromRecord(MIGRATIONS), table: MIGRATIONS_TABLE }).pipe(
      Effect.catchTag("MigrationError", ({ message }) =>
        Effect.fail(new ReadModelUnavailable({ attempted: OPEN, reason: message, retryable: false })),
      ),
      explained(OPEN),
    )

    const add = (lines: ReadonlyArray<QuarantinedLine>) =>
      sql.withTransaction(
        inSlices(
          lines,
          (slice) => sql`
          INSERT INTO quarantined_lines (fingerprint, reason, line) SELECT * FROM unnest(
            ${slice.map(fingerprintOfLine)}::text[], ${slice.map(({ reason }) => reason)}::text[],
            ${slice.map((line) => JSON.stringify(line))}::text[])
          ON CONFLICT DO NOTHING`,
        ),
      )

    const list = (after: number, limit: number) =>
      Effect.map(
        sql<{ readonly id: SqlBigint; readonly line: string }>`
          SELECT id, line FROM quarantined_lines WHERE id > ${after} ORDER BY id LIMIT ${limit}`,
        (rows) => rows.map(({ id, line }) => ({ id: Number(id), ...(JSON.parse(line) as QuarantinedLine) })),
      )

    const remove = (ids: ReadonlyArray<number>) =>
      sql.withTransaction(
        inSlices(ids, (slice) => sql`DELETE FROM quarantined_lines WHERE id = ANY(${slice}::bigint[])`),
      )

    const counts = Effect.map(
      sql<{ readonly reason: RejectionReason; readonly lines: SqlBigint }>`
        SELECT reason, count(*) AS lines FROM quarantined_lines GROUP BY reason ORDER BY reason`,
      (rows): ReadonlyMap<RejectionReason, number> => new Map(rows.map((row) => [row.reason, Number(row.lines)])),
    )

    return Quarantine.of({
      add: (lines) => Effect.asVoid(add(lines)).pipe(atTheDoor("add to the quarantine")),
      list: (after, limit) => list(after, limit).pipe(atTheDoor("read the quarantine")),
      remove: (ids) => Effect.asVoid(remove(ids)).pipe(atTheDoor("remove from the quarantine")),
      counts: counts.pipe(atTheDoor("read the quarantine")),
    })
  }),
)

const OPEN = "open the quarantine"

/** Failures as the port has them: the quarantine is the log's, wherever its table is. */
const atTheDoor =
  (attempted: string) =>
  <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, LogUnavailable> =>
    explained(attempted)(effect).pipe(
      Effect.mapError(({ reason, retryable }) => new LogUnavailable({ attempted, reason, retryable })),
    )
