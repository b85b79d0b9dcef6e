import { connect } from "node:net"
import { Effect, Stream } from "effect"
import type { Connection } from "effect/sql/SqlConnection"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type pg from "pg"
import { from as copyFrom } from "pg-copy-streams"
import { classifyPostgresError } from "../sql/classifyPostgresError.ts"
import { asCommitFailure } from "../sql/commitOutcome.ts"
import { parameterOf } from "./parameters.ts"
import { statementName } from "./statementNames.ts"

/** How long an interrupted statement may take to end after the server was asked to stop it. */
const CANCEL_TIMEOUT = "2 seconds"

/** What one message of a copy carries: large enough to cost nothing, small enough for the server to hold. */
const COPY_CHUNK_BYTES = 256 * 1024

/** A connection of the pool as effect/sql's, with what only this driver can do. */
export interface PostgresConnection extends Connection {
  /** Runs a `COPY … FROM STDIN` with these rows. */
  readonly copyIn: (statement: string, rows: string | Uint8Array) => Effect.Effect<void, SqlError>
  /** Commits, and says so if the outcome can't be known. */
  readonly commit: Effect.Effect<void, SqlError>
  /** Whether a transaction is open, also one that failed. A broken connection has none: its server rolls back. */
  readonly isInTransaction: () => boolean
  /** Whether it can be used for other work: alive, and between transactions. */
  readonly isReusable: () => boolean
}

/** Statements that change nothing by themselves, so that losing the answer to one loses nothing else. */
const ONLY_READS = /^\s*(SELECT|BEGIN|SET TRANSACTION|LOCK TABLE)\b/i

/**
 * Keeps the plan of what is prepared: left to itself the server plans some statements of answers every time, since it takes a
 * plan for known parameters to be cheaper than it is.
 */
const ONE_PLAN = "SET LOCAL plan_cache_mode = force_generic_plan"

/** What the server answers to a COMMIT of a transaction in which a statement failed. */
const rolledBack = new SqlError({
  reason: new UnknownError({ cause: undefined, message: "a statement had failed, so the transaction was rolled back" }),
})

/** The words are the driver's, for its own limit. */
const NO_ANSWER = new Error("Query read timeout")

interface ConnectionOptions {
  /** Statements that each transaction begins with; `null` where a session keeps its settings, and what it has prepared. */
  readonly localSettings: string | null
  /** How long the server may take to answer; `null` for no limit. */
  readonly answerTimeoutMillis: number | null
  /** For error messages. */
  readonly server: string
}

/** Makes a connection of a client of the pool. */
export const makeConnection = (
  client: pg.PoolClient,
  { localSettings, answerTimeoutMillis, server }: ConnectionOptions,
): PostgresConnection => {
  let broken = false
  /** Whether the transaction has done more than read, so that its COMMIT matters. */
  let wrote = false
  /** Whether the transaction only asks. */
  let asks = false
  const markBroken = () => {
    broken = true
  }
  // Without a listener, a connection that breaks while it is lent would end the process.
  client.on("error", markBroken).on("end", markBroken)

  /** Breaks a connection whose state nobody knows any more, such as one with a statement still on the way. */
  const abandon = () => {
    markBroken()
    client.connection.stream.destroy()
  }

  const fail = (cause: Error) => {
    if (cause === NO_ANSWER) abandon()
    return Effect.fail(classifyPostgresError(cause, server))
  }

  /** Asks the server to stop the statement, and waits until it has ended; an unresponsive server is left. */
  const stop = (ended: Promise<void>) =>
    Effect.promise(() => Promise.all([requestCancel(client), ended])).pipe(
      Effect.interruptible,
      Effect.timeoutOption(CANCEL_TIMEOUT),
      Effect.tap((done) => (done._tag === "None" ? Effect.sync(abandon) : Effect.void)),
      Effect.asVoid,
    )

  /** A statement that is in no transaction commits itself. */
  const statement = (sql: string, params: ReadonlyArray<unknown>, rowMode?: "array") =>
    Effect.suspend(() => {
      if (!hasTransaction(client)) wrote = false
      wrote ||= !ONLY_READS.test(sql)
      const done = query(sql, params, rowMode)
      return hasTransaction(client) ? done : Effect.mapError(done, asOutcome)
    })

  const asOutcome = (error: SqlError) => (wrote ? asCommitFailure(error) : error)

  /** One that can't be told to the server: it rolls back by itself when the connection breaks. */
  const rollback = Effect.suspend(() =>
    Effect.catch(rows("ROLLBACK", [], undefined), () => Effect.as(Effect.sync(abandon), [])),
  )

  const control: Connection["executeUnprepared"] = (sql, params, transform) => {
    if (sql.startsWith("BEGIN")) {
      asks = sql.includes("READ ONLY")
      const settings = localSettings ?? (asks ? ONE_PLAN : null)
      const statements = settings === null ? sql : sql.replace(/(?=;|$)/, `; ${settings}`)
      // Nobody else ends a transaction whose beginning failed, such as at a lock that it takes.
      return Effect.onError(rows(statements, params, transform), () => rollback)
    }
    return sql === "ROLLBACK" ? rollback : rows(sql, params, transform)
  }

  /**
   * Waits for an answer of the server, but not for ever; the driver's own limit leaves so much garbage that collecting it
   * delays other answers.
   */
  const answered = <A>(send: (settle: (answer: Effect.Effect<A, SqlError>) => void) => void) =>
    Effect.callback<A, SqlError>((resume) => {
      const ended = Promise.withResolvers<void>()
      const settle = (answer: Effect.Effect<A, SqlError>) => {
        clearTimeout(limit)
        ended.resolve()
        resume(answer)
      }
      const limit =
        answerTimeoutMillis === null
          ? undefined
          : // oxlint-disable-next-line no-restricted-globals -- a fiber for every statement would cost more than the statement's own
            setTimeout(() => settle(fail(NO_ANSWER)), answerTimeoutMillis)
      send(settle)
      return stop(ended.promise)
    })

  /**
   * The few statements that answers are made of are prepared, since planning them takes longer than running them. Those of
   * steps are not: how many rows they are about is in their parameters, and they need a plan for that.
   */
  const nameOf = (sql: string): { readonly name?: string } => {
    const isPrepared = asks && localSettings === null && hasTransaction(client) && /^\s*(SELECT|WITH)\b/.test(sql)
    const name = isPrepared ? statementName(sql) : undefined
    return name === undefined ? {} : { name }
  }

  const query = (sql: string, params: ReadonlyArray<unknown>, rowMode?: "array") =>
    answered<pg.QueryResult>((settle) => {
      // Without parameters it is sent whole, so that several statements take one round trip.
      const values = params.length === 0 ? {} : { values: params.map(parameterOf) }
      const mode = rowMode === undefined ? {} : { rowMode }
      client.query({ text: sql, ...values, ...mode, ...nameOf(sql) }, (error: Error | null, result: pg.QueryResult) => {
        // Several statements give several results; the last is the one asked for.
        settle(error ? fail(error) : Effect.succeed(Array.isArray(result) ? result.at(-1) : result))
      })
    })

  const copyIn = (statement: string, rows: string | Uint8Array) =>
    answered<void>((settle) => {
      wrote = true
      const stream = client.query(copyFrom(statement))
      stream.on("finish", () => settle(Effect.void))
      stream.on("error", (error) => {
        settle(fail(error))
        // Else it goes on sending what the server has refused, through a connection that is no longer its own.
        stream.destroy()
      })
      const bytes = typeof rows === "string" ? Buffer.from(rows) : rows
      for (let from = 0; from < bytes.length; from += COPY_CHUNK_BYTES) {
        stream.write(bytes.subarray(from, from + COPY_CHUNK_BYTES))
      }
      stream.end()
    })

  const rows: Connection["execute"] = (sql, params, transform) =>
    Effect.map(statement(sql, params), ({ rows }) => (transform === undefined ? rows : transform(rows)))
  const values: Connection["executeValues"] = (sql, params) =>
    Effect.map(statement(sql, params, "array"), ({ rows }) => rows as unknown as ReadonlyArray<ReadonlyArray<unknown>>)

  const commit = query("COMMIT", []).pipe(
    Effect.mapError(asOutcome),
    Effect.flatMap(({ command }) => (command === "COMMIT" ? Effect.void : Effect.fail(rolledBack))),
  )

  const isInTransaction = () => !broken && hasTransaction(client)

  return {
    execute: rows,
    executeUnprepared: control,
    executeRaw: (sql, params) => statement(sql, params),
    executeValues: values,
    executeValuesUnprepared: values,
    // Results are held whole, as in PGlite; nothing here reads one too large for that.
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.map(rows(sql, params, transform), Stream.fromIterable)),
    copyIn,
    commit,
    isInTransaction,
    isReusable: () => !broken && !isInTransaction(),
  }
}

/** Open (T) or failed (E). The driver does not know the state of a connection that has just been made. */
const hasTransaction = (client: pg.PoolClient): boolean => {
  const status = client.getTransactionStatus()
  return status === "T" || status === "E"
}

const CANCEL_REQUEST = 80_877_102

/**
 * Asks the server to stop what a connection is doing (PostgreSQL documentation, "Canceling Requests in Progress"): over a
 * connection of its own, which the server closes when it has passed the request on. Whether it worked shows elsewhere.
 */
const requestCancel = (client: pg.PoolClient): Promise<void> => {
  const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number }
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(CANCEL_REQUEST, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = client.host.startsWith("/")
    ? connect(`${client.host}/.s.PGSQL.${client.port}`)
    : connect(client.port, client.host)
  return new Promise((resolve) => {
    socket.on("error", () => socket.destroy())
    socket.on("close", () => resolve())
    socket.end(request)
  })
}
