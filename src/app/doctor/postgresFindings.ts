import type { PostgresReport } from "../../infra/sql/inspectPostgres.ts"
import { SCHEMA_VERSION } from "../../infra/sql/migrations.ts"
import { failure, type Finding, ok, warning } from "./Finding.ts"

/** From so many of the connections that there are, new ones may soon be refused. */
const CONNECTIONS_SHARE = 0.8

/** What a report of PostgreSQL means. */
export const postgresFindings = (report: PostgresReport): ReadonlyArray<Finding> => [
  ok("PostgreSQL", `version ${report.version}; 13 is the oldest that will do`),
  durability(report),
  report.readOnly
    ? failure(
        "PostgreSQL writes",
        "it only reads (a standby, or default_transaction_read_only): nothing can be projected; use the server that writes",
      )
    : ok("PostgreSQL writes", "it takes them"),
  connections(report),
  report.keepsSessions
    ? ok("PostgreSQL pooler", "none, or one that keeps sessions")
    : warning(
        "PostgreSQL pooler",
        "it lends connections for one transaction at a time: everything works, with settings made anew in each transaction; the pooler's server_lifetime and its default_pool_size bound what workers get",
      ),
  ok("PostgreSQL schema", `${report.schema}, version ${report.schemaVersion} of ${SCHEMA_VERSION}`),
  rights(report),
]

const durability = ({ fsync, fullPageWrites, synchronousCommit }: PostgresReport): Finding => {
  const check = "PostgreSQL fsync"
  const remedy = 'The log can make the read model anew ("tidemark rebuild --wipe"); not so the quarantine'
  if (fsync !== "on" || fullPageWrites !== "on") {
    const setting = fsync === "on" ? "full_page_writes" : "fsync"
    return warning(check, `${setting} is off: a power cut can damage the database as a whole. Turn it on. ${remedy}`)
  }
  if (synchronousCommit === "off") {
    return warning(
      check,
      `synchronous_commit is off: a crash can take back the last moments, which workers then project again from the log. ${remedy}`,
    )
  }
  return ok(check, `fsync on, full_page_writes on, synchronous_commit ${synchronousCommit}`)
}

const connections = ({ connections, connectionsMax }: PostgresReport): Finding => {
  const found = `${connections} of ${connectionsMax} connections are in use`
  return connections > connectionsMax * CONNECTIONS_SHARE
    ? warning(
        "PostgreSQL connections",
        `${found}: when there are no more, workers wait and others are refused. Raise max_connections, make pools smaller (TIDEMARK_POSTGRES_POOL), or put a pooler in between`,
      )
    : ok("PostgreSQL connections", found)
}

const rights = ({ role, schema, mayCreate, notWritable }: PostgresReport): Finding => {
  const check = "PostgreSQL rights"
  if (notWritable.length > 0) {
    return failure(
      check,
      `role ${role} may not write or empty ${notWritable.join(", ")}, so projections and rebuilds fail; the owner grants it: GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    )
  }
  return mayCreate
    ? ok(check, `role ${role} may do all that is needed in ${schema}`)
    : warning(
        check,
        `role ${role} may not create tables in ${schema}, which the next version of Tidemark may have to: GRANT CREATE ON SCHEMA ${schema} TO ${role}`,
      )
}
