import { readFile } from "node:fs/promises"
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
  nkeyAuthenticator,
  nkeys,
  type Status,
  type TlsOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node"
import { Effect, Latch, Redacted, type Scope, Stream } from "effect"
import { BadNatsOptions, NatsRefused, NatsServerUnfit, NatsUnreachable } from "./errors.ts"
import { call, CallFailed } from "./jetStreamCall.ts"
import { count } from "./logMetrics.ts"
import { versionProblem } from "./serverVersion.ts"

/** How to reach NATS. One way to sign in at most: credentials, an NKey, a token, or user and password in the URL. */
export interface NatsOptions {
  /** `nats://host:port`, or `tls://host:port` to insist on TLS; one of them, or several of a cluster. */
  readonly servers: string | ReadonlyArray<string> | Redacted.Redacted
  /** What the server calls this connection in its lists. Default `tidemark`. */
  readonly name?: string
  /** PEM files. `ca` for a server whose certificate the system doesn't know; `cert` and `key` for one that asks who we are. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  /** A `.creds` file: JWT and seed. */
  readonly credentialsFile?: string
  /** A file that holds the seed of an NKey. */
  readonly nkeySeedFile?: string
  readonly token?: Redacted.Redacted
}

export type ConnectError = BadNatsOptions | NatsUnreachable | NatsRefused | NatsServerUnfit

/** A connection, and news of its loss for those who must not sleep over it. */
export interface Connection {
  readonly nats: NatsConnection
  /** How long a call waits for its answer, and for a connection to be made on. */
  readonly answerMillis: number
  /** Calls back at every loss of the connection, until the returned function is called. */
  readonly onLost: (listener: () => void) => () => void
  /**
   * Makes a call that waits for an answer. While the connection is lost it is not made, since the client would drop it;
   * when the connection is lost it fails at once, since no answer will come.
   */
  readonly call: <A>(run: () => Promise<A>) => Effect.Effect<A, CallFailed>
}

/** How long one server is given to answer. */
const CONNECT_MILLIS = 5000

/** From one attempt to reconnect to the next, and what is added by chance, so that not all clients come at once. */
const RECONNECT_MILLIS = 250
const RECONNECT_JITTER_MILLIS = 100
/** Greeting many clients costs a server more with TLS. */
const RECONNECT_JITTER_TLS_MILLIS = 1000

/** So much may a timer be early. */
const TIMER_MILLIS = 2

/**
 * Connects, checks the server's version, and stays connected: after a loss it tries until it is back or the scope ends.
 * No message that this gives holds a secret.
 */
export const openNats = Effect.fn("openNats")(function* (
  options: NatsOptions,
  answerMillis: number,
): Effect.fn.Return<Connection, ConnectError, Scope.Scope> {
  const { servers, tls, login } = yield* readServers(options)
  const signIn = yield* readSignIn(options, login)
  const tlsOptions = tls || options.tls !== undefined ? yield* readTls(options.tls ?? {}) : undefined
  /** Those that were named, and those that they told of. */
  const known = new Set(servers)
  const nats = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        connect({
          servers: [...servers],
          name: options.name ?? "tidemark",
          timeout: CONNECT_MILLIS,
          maxReconnectAttempts: -1,
          reconnectDelayHandler: reconnectPace({ tls: tlsOptions !== undefined, servers: () => known.size }),
          ...(signIn.authenticator === null ? {} : { authenticator: signIn.authenticator }),
          ...(tlsOptions === undefined ? {} : { tls: tlsOptions }),
        }),
      catch: (cause) => connectFailure(cause, servers, signIn.identity),
    }),
    (nats) => Effect.promise(() => closeNats(nats)),
  )
  const version = nats.info?.version ?? "unknown"
  const problem = versionProblem(version)
  if (problem !== null) {
    return yield* new NatsServerUnfit({ server: nats.getServer(), problem, remedy: "Upgrade the server" })
  }
  for (const server of nats.info?.connect_urls ?? []) known.add(server)
  // The client forgets servers that didn't answer before the first one did.
  if (servers.length > 1) nats.setServers([...known])
  const listeners = new Set<() => void>()
  const onLost = (listener: () => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
  /** Open while a call may be made. A closed connection lets it be made too: it then fails, and says so. */
  const usable = Latch.makeUnsafe(true)
  const follow = (status: Status): void => {
    const { type } = status
    if (type === "update") for (const server of status.added ?? []) known.add(server)
    if (type === "reconnect" || type === "close") usable.openUnsafe()
    if (type !== "disconnect") return
    usable.closeUnsafe()
    for (const listener of listeners) listener()
  }
  yield* Stream.fromAsyncIterable(nats.status(), (cause) => cause).pipe(
    Stream.runForEach((status) =>
      Effect.andThen(
        Effect.sync(() => follow(status)),
        countStatus(status),
      ),
    ),
    // The events end with the connection.
    Effect.ignore,
    Effect.forkScoped,
  )
  const lost = new CallFailed({ kind: "away", reason: "the connection was lost", code: 0 })
  const untilLost = Effect.callback<never, CallFailed>((resume) => {
    const forget = onLost(() => resume(Effect.fail(lost)))
    return Effect.sync(forget)
  })
  return {
    nats,
    answerMillis,
    onLost,
    call: (run) =>
      usable.await.pipe(
        Effect.timeoutOrElse({ duration: answerMillis, orElse: () => Effect.fail(lost) }),
        Effect.andThen(Effect.raceFirst(call(run), untilLost)),
      ),
  }
})

/**
 * Closes a client. Closed while it connects anew, it leaves the socket open on which it waits for a greeting (nats.js
 * 3.4.0), and where none comes, such as from a balancer without servers, the process would not end.
 */
const closeNats = async (nats: NatsConnection): Promise<void> => {
  await nats.close()
  const { protocol } = nats as { readonly protocol?: { readonly transport?: { readonly discard?: () => void } } }
  protocol?.transport?.discard?.()
}

/**
 * The pause before the client's next attempt, ms. The client adds it to the time of day of the last one, and so would wait
 * an hour more where the clock was put back by an hour meanwhile; so when it is over is found out here, by a clock that
 * only goes on.
 */
export const reconnectPace = ({ tls, servers }: { readonly tls: boolean; readonly servers: () => number }) => {
  const jitter = tls ? RECONNECT_JITTER_TLS_MILLIS : RECONNECT_JITTER_MILLIS
  let pause = 0
  let over = 0
  /** Attempts that may still be made before it is over: one at each server. */
  let left = 0
  return (): number => {
    const now = performance.now()
    // Timers may be a little early, and the client then tries without asking again.
    if (now < over - TIMER_MILLIS) return left-- > 0 ? Number.NEGATIVE_INFINITY : pause
    left = servers() - 1
    pause = RECONNECT_MILLIS + Math.random() * jitter
    over = now + pause
    return Number.NEGATIVE_INFINITY
  }
}

const countStatus = ({ type }: Status): Effect.Effect<void> => {
  switch (type) {
    case "disconnect":
      return count("disconnects")
    case "reconnect":
      return count("reconnects")
    case "error":
      return count("serverErrors")
    default:
      return Effect.void
  }
}

/** User and password of a URL; alone, what stands before the @ is a token. */
interface Login {
  readonly user: string
  readonly password: string
}

const readServers = (options: NatsOptions) =>
  Effect.gen(function* () {
    const named = Redacted.isRedacted(options.servers) ? Redacted.value(options.servers) : options.servers
    const given = typeof named === "string" ? named.split(",") : named
    const bad = (problem: string) => new BadNatsOptions({ option: "servers", problem })
    if (given.length === 0) return yield* bad("it names no server")
    let login: Login | null = null
    let tls = false
    const servers: Array<string> = []
    for (const text of given.map((text) => text.trim())) {
      const url = URL.parse(text.includes("://") ? text : `nats://${text}`)
      // The text itself may hold a password, so it is not repeated.
      if (url === null || url.hostname === "") return yield* bad("one of them is no URL such as nats://host:4222")
      if (url.protocol !== "nats:" && url.protocol !== "tls:") {
        return yield* bad(`"${url.protocol}//" is not supported; write nats:// or tls://`)
      }
      if (url.protocol === "tls:") tls = true
      if (url.username !== "") {
        login = { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
      }
      servers.push(`${url.hostname}:${url.port === "" ? "4222" : url.port}`)
    }
    return { servers, tls, login }
  })

/** How this process signs in, and how a message may call that. */
interface SignIn {
  readonly authenticator: Authenticator | null
  readonly identity: string
}

const readSignIn = (options: NatsOptions, login: Login | null) =>
  Effect.gen(function* () {
    const ways: Array<Effect.Effect<SignIn, BadNatsOptions>> = []
    const { credentialsFile, nkeySeedFile, token } = options
    if (credentialsFile !== undefined) ways.push(readCredentials(credentialsFile))
    if (nkeySeedFile !== undefined) ways.push(readNkey(nkeySeedFile))
    if (token !== undefined) {
      ways.push(
        Effect.succeed({ authenticator: tokenAuthenticator(() => Redacted.value(token)), identity: "the token" }),
      )
    }
    if (login !== null) {
      const { user, password } = login
      ways.push(
        Effect.succeed(
          password === ""
            ? { authenticator: tokenAuthenticator(user), identity: "the token" }
            : { authenticator: usernamePasswordAuthenticator(user, password), identity: `user ${user}` },
        ),
      )
    }
    if (ways.length > 1) {
      const problem =
        "there is more than one way to sign in; give one of credentialsFile, nkeySeedFile, token, or user and password in the URL"
      return yield* new BadNatsOptions({ option: "servers", problem })
    }
    return ways.length === 0
      ? ({ authenticator: null, identity: "a connection without credentials" } satisfies SignIn)
      : yield* ways[0]!
  })

const readCredentials = (file: string): Effect.Effect<SignIn, BadNatsOptions> =>
  Effect.gen(function* () {
    const content = yield* readOptionFile("credentialsFile", file)
    if (!/BEGIN NATS USER JWT[\s\S]*BEGIN USER NKEY SEED/.test(content.toString("latin1"))) {
      return yield* new BadNatsOptions({
        option: "credentialsFile",
        problem: `${file} is no credentials file: it must hold a user JWT and an NKey seed`,
      })
    }
    return { authenticator: credsAuthenticator(content), identity: `the credentials of ${file}` }
  })

const readNkey = (file: string): Effect.Effect<SignIn, BadNatsOptions> =>
  Effect.gen(function* () {
    const content = yield* readOptionFile("nkeySeedFile", file)
    const seed = Buffer.from(content.toString("latin1").trim(), "latin1")
    const publicKey = yield* Effect.try({
      try: () => nkeys.fromSeed(seed).getPublicKey(),
      catch: () => new BadNatsOptions({ option: "nkeySeedFile", problem: `${file} holds no NKey seed` }),
    })
    return { authenticator: nkeyAuthenticator(seed), identity: `the NKey ${publicKey}` }
  })

const readTls = ({ ca, cert, key }: NonNullable<NatsOptions["tls"]>) =>
  Effect.gen(function* () {
    const read = (option: string, file: string | undefined) =>
      file === undefined ? Effect.undefined : readOptionFile(`tls.${option}`, file)
    const files = { ca: yield* read("ca", ca), cert: yield* read("cert", cert), key: yield* read("key", key) }
    const tls: TlsOptions = {
      ...(files.ca === undefined ? {} : { ca: files.ca.toString("utf8") }),
      ...(files.cert === undefined ? {} : { cert: files.cert.toString("utf8") }),
      ...(files.key === undefined ? {} : { key: files.key.toString("utf8") }),
    }
    return tls
  })

const readOptionFile = (option: string, file: string): Effect.Effect<Buffer, BadNatsOptions> =>
  Effect.tryPromise({
    try: () => readFile(file),
    catch: (cause) => {
      const missing = codeOf(cause) === "ENOENT"
      return new BadNatsOptions({
        option,
        problem: missing ? `there is no file ${file}` : `${file} can't be read (${codeOf(cause) ?? String(cause)})`,
      })
    },
  })

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const connectFailure = (cause: unknown, servers: ReadonlyArray<string>, identity: string) => {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  if (error instanceof errors.UserAuthenticationExpiredError) {
    return new NatsRefused({ servers, identity, reason: "the credentials have expired" })
  }
  if (error instanceof errors.AuthorizationError) {
    return new NatsRefused({ servers, identity, reason: "it does not know them" })
  }
  return new NatsUnreachable({ servers, reason: unreachableReason(error) })
}

const unreachableReason = (error: Error): string => {
  const code = codeOf(error) ?? codeOf(error.cause)
  if (code === "ECONNREFUSED") return "nothing listens there"
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the host name is not known"
  if (code !== undefined && /CERT|SIGNED|TLS|SSL|LEAF/.test(code)) {
    return `its TLS certificate is not trusted (${code}); give the authority that signed it as tls.ca`
  }
  if (error instanceof errors.TimeoutError) return `no answer within ${CONNECT_MILLIS / 1000} s`
  // What the client says of these reads like a defect of this program.
  if (error.message === "unexpected response from server") return "what answers there is no NATS server"
  if (error.message === "server does not support 'tls'") return "the server has no TLS"
  return code === undefined ? error.message : `${error.message} (${code})`
}
