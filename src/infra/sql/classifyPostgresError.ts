import {
  AuthenticationError,
  AuthorizationError,
  ConnectionError,
  ConstraintError,
  DeadlockError,
  LockTimeoutError,
  SerializationError,
  SqlError,
  type SqlErrorReason,
  SqlSyntaxError,
  StatementTimeoutError,
  UniqueViolation,
  UnknownError,
} from "effect/sql/SqlError"

/**
 * Sorts a Postgres failure by its SQLSTATE (PostgreSQL documentation, Appendix A), so that callers can tell what is
 * worth trying again; says what to do where the server's own words don't. `server` is named where the failure is about it
 * and not about a statement.
 */
export const classifyPostgresError = (cause: unknown, server?: string): SqlError =>
  new SqlError({ reason: reasonOf(cause, server) })

/** Whether a statement failed because its connection broke, so that the server may have gone on with it. */
export const isConnectionLost = ({ reason }: SqlError): boolean => reason._tag === "ConnectionError"

/** Whether a transaction was rolled back only because of what another did meanwhile, so that it can be made again at once. */
export const isConflictInTime = ({ reason }: SqlError): boolean =>
  reason._tag === "DeadlockError" || reason._tag === "SerializationError"

/** Whether a table is not there that was there when the store was opened. */
export const isTableGone = ({ reason }: SqlError): boolean => codeOf(reason.cause) === UNDEFINED_TABLE

const UNDEFINED_TABLE = "42P01"

/** What the server or the driver said means to a person, and what to do about it, by SQLSTATE or the system's code. */
const ADVICE: Readonly<Record<string, (said: string) => string>> = {
  "25006": (said) => `the server only reads (${said}): it is a standby, or set to; use the one that writes`,
  "28P01": (said) => `${said}; check the role and its password`,
  "28000": (said) => `${said}; check the role, and pg_hba.conf on the server`,
  "3D000": (said) => `${said}; create it (createdb), or correct the address`,
  [UNDEFINED_TABLE]: (said) => `${said}: somebody has dropped it; what is started next makes the tables anew`,
  "42501": (said) => `${said}; docs/reference/postgres.md lists the rights to grant`,
  "55P03": (said) => `${said}: somebody else has held what it needs for long; try again when they are through`,
  "53100": () => "no space left on the disk",
  "53300": (said) => `out of connections: ${said}; lower the pools of its clients or raise its max_connections`,
  ECONNREFUSED: () => "nothing listens there; start PostgreSQL, or correct host and port",
  ENOTFOUND: () => "no such host; correct the address",
}

/**
 * What keeps a distinct id, or the older part of a device, from being known twice. Two steps that both meet an id which is new run into it: the later one
 * was rolled back, and finds the row when it is made again, so that this is a conflict in time like any other.
 */
const ONCE_KNOWN: ReadonlyArray<string> = ["distinct_ids_distinct_id_older_key", "distinct_ids_pkey"]

const reasonOf = (cause: unknown, server: string | undefined): SqlErrorReason => {
  const code = codeOf(cause)
  const advised = ADVICE[code]
  const said = messageOf(cause)
  const text = advised === undefined ? said : advised(said)
  const atServer = server === undefined ? text : `${text} [${server}]`

  if (code === "23505") {
    const constraint = cause instanceof Error && "constraint" in cause ? String(cause.constraint) : "unknown"
    if (ONCE_KNOWN.includes(constraint)) {
      return new SerializationError({ cause, message: "another step met the same new distinct id at the same moment" })
    }
    return new UniqueViolation({ cause, message: text, constraint })
  }
  if (code === "40P01") return new DeadlockError({ cause, message: text })
  if (code === "40001") return new SerializationError({ cause, message: text })
  if (code === "55P03") return new LockTimeoutError({ cause, message: text })
  if (code === "57014") return new StatementTimeoutError({ cause, message: text })
  if (code === "42501") return new AuthorizationError({ cause, message: atServer })
  if (code.startsWith("28")) return new AuthenticationError({ cause, message: atServer })
  if (code.startsWith("23")) return new ConstraintError({ cause, message: text })
  if (code.startsWith("42")) return new SqlSyntaxError({ cause, message: text })
  if (isAboutConnection(code, said)) return new ConnectionError({ cause, message: atServer })
  return new UnknownError({ cause, message: advised === undefined ? text : atServer })
}

/**
 * The server ended the session or takes none: too many (53300), shutting down, crashed or starting (57P01 to 57P03), idle
 * for too long (57P05, or 25P03 and 25P04 inside a transaction), or the protocol's own failures (08).
 */
const CONNECTION_CODES = /^(08...|53300|57P0[1235]|25P0[34])$/

/** How the operating system calls a connection that broke or can't be made. */
const SYSTEM_CODES =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|ENOENT)$/

/** How the driver `pg` says the same; it gives these no code. */
const DRIVER_WORDS =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Client was closed)/

const isAboutConnection = (code: string, said: string): boolean =>
  CONNECTION_CODES.test(code) || SYSTEM_CODES.test(code) || (code === "" && DRIVER_WORDS.test(said))

/** The first of several failures, where a name has several addresses and none answers. */
const firstOf = (cause: unknown): unknown => (cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause)

const codeOf = (cause: unknown): string => {
  const first = firstOf(cause)
  return first instanceof Error && "code" in first && typeof first.code === "string" ? first.code : ""
}

const messageOf = (cause: unknown): string => {
  const first = firstOf(cause)
  return first instanceof Error ? first.message : String(first)
}
