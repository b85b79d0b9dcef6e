import { Duration } from "effect"
import type { PostgresConfig } from "./options.ts"

/**
 * After this long without a statement inside a transaction, the server ends the session: a frozen worker must not hold
 * its row locks for ever.
 */
const IDLE_IN_TRANSACTION_MS = 10_000

const ISOLATION = "default_transaction_isolation"

/** What holds for every statement of ours, whatever the server, database or role have as defaults. */
export const sessionSettings = (config: PostgresConfig): Readonly<Record<string, string>> => ({
  search_path: config.schema,
  timezone: "UTC",
  datestyle: "ISO",
  // Whoever waited for a lock must see what the one before it wrote, also where that did not touch the row that was locked.
  [ISOLATION]: "read committed",
  statement_timeout: String(Duration.toMillis(config.statementTimeout)),
  lock_timeout: String(Duration.toMillis(config.lockTimeout)),
  idle_in_transaction_session_timeout: String(IDLE_IN_TRANSACTION_MS),
})

/** The settings as the parameter `options` of a new connection: in force from the first statement on. */
export const asConnectionOptions = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(" ", "\\ ")}`)
    .join(" ")

/** The settings as statements that hold until the end of a transaction, whose BEGIN says how isolated it is. */
export const asLocalSettings = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .filter(([name]) => name !== ISOLATION)
    .map(([name, value]) => `SET LOCAL ${name} TO '${value}'`)
    .join("; ")
