import { Context, type Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"

/**
 * `COPY … FROM STDIN`, which effect/sql does not have: several times as fast as any `INSERT` where rows are many. It runs
 * inside the transaction that the calling fiber is in.
 */
export class BulkCopy extends Context.Service<
  BulkCopy,
  {
    /**
     * Copies rows into a table, by the columns named. `text` is in Postgres' text format: a line per row, a tab between
     * values; see `copyText.ts`.
     */
    readonly copy: (table: string, columns: ReadonlyArray<string>, text: string) => Effect.Effect<void, SqlError>
  }
>()("tidemark/infra/sql/BulkCopy") {}
