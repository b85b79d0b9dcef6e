import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { RejectionReason } from "../../domain/event/admit.ts"
import { LogUnavailable } from "../../domain/log/errors.ts"
import { fingerprintOfLine, Quarantine, type QuarantinedLine } from "../../domain/log/Quarantine.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { explained } from "./explained.ts"
import { inSlices } from "./inSlices.ts"
import type { SqlBigint } from "./rows.ts"
import { layerServerTables } from "./serverTables.ts"

/** The quarantine in Postgres, for a project on servers. Lines are JSON in text, since Postgres' own JSON and text take no NUL. */
export const layerSqlQuarantine: Layer.Layer<Quarantine, ReadModelUnavailable, SqlClient.SqlClient> = Layer.effect(
  Quarantine,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
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
).pipe(Layer.provide(layerServerTables))

/** Failures as the port has them: the quarantine is the log's, wherever its table is. */
const atTheDoor =
  (attempted: string) =>
  <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, LogUnavailable> =>
    explained(attempted)(effect).pipe(
      Effect.mapError(({ reason, retryable }) => new LogUnavailable({ attempted, reason, retryable })),
    )
