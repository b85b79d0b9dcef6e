import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { Effect, Redacted } from "effect"
import { afterEach, describe, expect, test } from "vitest"
import { type JetStreamLogOptions, openJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { openNats, reconnectPace } from "../../src/infra/nats/NatsConnection.ts"
import { isAtLeast, versionProblem } from "../../src/infra/nats/serverVersion.ts"
import { failureOf } from "../contract/eventLog.ts"
import { eventually } from "../support/eventually.ts"
import { makeOperatorSetup } from "../support/natsJwt.ts"
import { type NatsServerOptions, startNatsServer } from "../support/natsServer.ts"
import { startProxy } from "../support/tcpProxy.ts"

/** Undone after each test, last first. */
const undo: Array<() => unknown> = []

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const serverWith = async (options: NatsServerOptions) => {
  const server = await startNatsServer(options)
  undo.push(() => server.close())
  return server
}

const directory = (): string => {
  const made = mkdtempSync(join(tmpdir(), "tidemark-nats-files-"))
  undo.push(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const fileOf = (content: string): string => {
  const file = join(directory(), "file")
  writeFileSync(file, content)
  return file
}

/** A server that is none of NATS, or one that only says which version it is. */
const tcpServer = async (greeting: string): Promise<string> => {
  const server: Server = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    socket.on("data", (data) => data.includes("PING") && socket.write("PONG\r\n"))
    socket.write(greeting)
    undo.push(() => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  undo.push(() => server.close())
  const address = server.address()
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
}

const open = (options: JetStreamLogOptions) =>
  Effect.scoped(Effect.map(openJetStreamLog({ partitions: 1, ...options }), ({ incarnation }) => incarnation))

const opens = async (options: JetStreamLogOptions): Promise<void> => {
  expect(await Effect.runPromise(open(options))).not.toBe("")
}

const refusal = (options: JetStreamLogOptions) => failureOf(open(options))

describe("a server that can't be reached", () => {
  test("nothing listens there", async () => {
    const error = await refusal({ servers: "nats://127.0.0.1:1" })
    expect(error._tag).toBe("NatsUnreachable")
    expect(error.message).toBe(
      "Could not connect to NATS at 127.0.0.1:1: nothing listens there. Check that a server runs there and that the address is right.",
    )
  })

  test("its name is not known", async () => {
    const error = await refusal({ servers: "nats://user:s3cret@no-such-host.invalid" })
    expect(error.message).toMatch(
      /^Could not connect to NATS at no-such-host\.invalid:4222: the host name is not known/,
    )
  })

  test("another kind of server answers", async () => {
    const error = await refusal({ servers: await tcpServer("HTTP/1.1 400 Bad Request\r\n\r\n") })
    expect(error._tag).toBe("NatsUnreachable")
    expect(error.message).toMatch(/no NATS server/)
  })

  test.each([
    ["", "one of them is no URL such as nats://host:4222"],
    ["nats://user:s3cret@host:port", "one of them is no URL such as nats://host:4222"],
    ["http://localhost:4222", '"http://" is not supported; write nats:// or tls://'],
  ])("its address %j is none", async (servers, problem) => {
    const error = await refusal({ servers })
    expect(error.message).toBe(`The NATS option "servers" can't be used: ${problem}.`)
  })

  test("the list of servers is empty", async () => {
    expect((await refusal({ servers: [] })).message).toContain("it names no server")
  })

  test("each is tried again after a pause, once", () => {
    for (const [tls, most] of [
      [false, 350],
      [true, 1250],
    ] as const) {
      const pace = reconnectPace({ tls, servers: () => 3 })
      for (let server = 0; server < 3; server++) expect(pace()).toBe(Number.NEGATIVE_INFINITY)
      const pause = pace()
      expect(pause).toBeGreaterThanOrEqual(250)
      expect(pause).toBeLessThanOrEqual(most)
      // Not what is left of it: the client adds it to when it tried last.
      expect(pace()).toBe(pause)
    }
  })

  test("is closed while it connects anew to what never greets: nothing is left open", async () => {
    const server = await serverWith({})
    const proxy = await startProxy(server.port)
    undo.push(() => proxy.close())
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* openNats({ servers: `nats://127.0.0.1:${proxy.port}` }, 1000)
          proxy.drop()
          proxy.stall()
          yield* Effect.promise(() => eventually("it has dialled", async () => proxy.connections() === 1))
        }),
      ),
    )
    proxy.resume()
    await eventually("nothing is open", async () => proxy.connections() === 0)
  })

  test("one that was away at the start is gone over to when the others are", async () => {
    const [first, second] = [await serverWith({}), await serverWith({})]
    await first.stop()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const { nats, call } = yield* openNats({ servers: [first.url, second.url] }, 10_000)
          yield* Effect.promise(() => first.start())
          const before = nats.getServer()
          yield* Effect.promise(() => second.stop())
          yield* call(() => nats.flush()).pipe(Effect.eventually)
          expect([before, nats.getServer()]).toEqual([second.url, first.url].map((url) => url.replace("nats://", "")))
        }),
      ),
    )
  })

  test("one of several is enough", async () => {
    const server = await serverWith({})
    await opens({ servers: ["nats://127.0.0.1:1", server.url] })
  })
})

describe("signing in", () => {
  const signIns = async (good: JetStreamLogOptions, bad: JetStreamLogOptions, name: string, secrets: Array<string>) => {
    await opens(good)
    for (const [options, identity] of [
      [bad, name],
      [{ servers: String(good.servers).replace(/\/\/.*@/, "//") }, "a connection without credentials"],
    ] as const) {
      const error = await refusal(options)
      expect(error._tag).toBe("NatsRefused")
      expect(error.message).toContain(` refused ${identity}`)
      for (const secret of secrets)
        expect(JSON.stringify(error) + error.message + String(error.stack)).not.toContain(secret)
    }
  }

  test("with user and password", async () => {
    const { port } = await serverWith({ config: "authorization { user: ann, password: s3cret }" })
    const url = (login: string) => ({ servers: `nats://${login}@127.0.0.1:${port}` })
    await signIns(url("ann:s3cret"), url("ann:wr0ng"), "user ann", ["s3cret", "wr0ng"])
  })

  test("with a token, as an option or in the URL", async () => {
    const { url, port } = await serverWith({ config: "authorization { token: s3cret }" })
    const token = (text: string) => ({ servers: url, token: Redacted.make(text) })
    await signIns(token("s3cret"), token("wr0ng"), "the token", ["s3cret", "wr0ng"])
    await opens({ servers: `nats://s3cret@127.0.0.1:${port}` })
    const error = await refusal({ servers: `nats://wr0ng@127.0.0.1:${port}` })
    expect(error.message).toContain(" refused the token: ")
    expect(error.message).not.toContain("wr0ng")
  })

  test("with an NKey", async () => {
    const [known, unknown] = [nkeys.createUser(), nkeys.createUser()]
    const { url } = await serverWith({ config: `authorization { users: [{ nkey: ${known.getPublicKey()} }] }` })
    const seedOf = (key: nkeys.KeyPair): string => Buffer.from(key.getSeed()).toString()
    const signIn = (key: nkeys.KeyPair) => ({ servers: url, nkeySeedFile: fileOf(`${seedOf(key)}\n`) })
    const name = `the NKey ${unknown.getPublicKey()}`
    await signIns(signIn(known), signIn(unknown), name, [seedOf(known), seedOf(unknown)])
  })

  test("with a credentials file", async () => {
    const [home, elsewhere] = [makeOperatorSetup(), makeOperatorSetup()]
    const { url } = await serverWith({ config: home.config })
    const signIn = (credentials: string) => ({ servers: url, credentialsFile: fileOf(credentials) })
    const seeds = [home, elsewhere].map(({ credentials }) => /\nSU\w+/.exec(credentials)![0].trim())
    await signIns(signIn(home.credentials), signIn(elsewhere.credentials), "the credentials of ", seeds)
  })

  test("with files that hold nothing of the kind", async () => {
    const servers = "nats://127.0.0.1:1"
    const file = fileOf("s3cret")
    expect((await refusal({ servers, nkeySeedFile: file })).message).toBe(
      `The NATS option "nkeySeedFile" can't be used: ${file} holds no NKey seed.`,
    )
    expect((await refusal({ servers, credentialsFile: file })).message).toBe(
      `The NATS option "credentialsFile" can't be used: ${file} is no credentials file: it must hold a user JWT and an NKey seed.`,
    )
    for (const option of ["credentialsFile", "nkeySeedFile"] as const) {
      const error = await refusal({ servers, [option]: "/no/such/file" })
      expect(error.message).toBe(`The NATS option "${option}" can't be used: there is no file /no/such/file.`)
    }
    expect((await refusal({ servers, tls: { ca: "/no/such/file" } })).message).toContain('"tls.ca" can\'t be used')
  })

  test("in two ways at once", async () => {
    const error = await refusal({ servers: "nats://ann:s3cret@127.0.0.1:1", token: Redacted.make("t0ken") })
    expect(error.message).toContain("there is more than one way to sign in")
    expect(error.message).not.toMatch(/s3cret|t0ken/)
  })

  test("as a user that may not make the stream", async () => {
    const permissions = '{ publish: { deny: "$JS.API.STREAM.CREATE.>" } }'
    const config = `authorization { users: [{ user: ann, password: s3cret, permissions: ${permissions} }] }`
    const { port } = await serverWith({ config })
    const error = await refusal({ servers: `nats://ann:s3cret@127.0.0.1:${port}`, patience: "1 second" })
    expect(error.message).toBe(
      "Could not open the stream tidemark_default: this user may not publish to $JS.API.STREAM.CREATE.tidemark_default.",
    )
  })
})

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0

describe.skipIf(!hasOpenssl)("TLS (needs openssl)", () => {
  /** An authority of our own, and what it has signed. */
  const makeCertificates = () => {
    const home = directory()
    const openssl = (...args: ReadonlyArray<string>): void => {
      const { status, stderr } = spawnSync("openssl", args, { cwd: home, encoding: "utf8" })
      if (status !== 0) throw new Error(stderr)
    }
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    writeFileSync(join(home, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1")
    for (const name of ["server", "client"]) {
      openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`)
      const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
      openssl("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.pem`)
    }
    return (name: string): string => join(home, name)
  }

  test("with an authority that the system doesn't know, and a certificate of our own", async () => {
    const file = makeCertificates()
    const tls = `cert_file: "${file("server.pem")}", key_file: "${file("server.key")}"`
    const { port } = await serverWith({ config: `tls { ${tls} }` })
    const servers = `tls://localhost:${port}`
    await opens({ servers, tls: { ca: file("ca.pem") } })
    await opens({ servers: `nats://127.0.0.1:${port}`, tls: { ca: file("ca.pem") } })
    const untrusted = await refusal({ servers })
    expect(untrusted._tag).toBe("NatsUnreachable")
    expect(untrusted.message).toMatch(
      /its TLS certificate is not trusted \(\w+\); give the authority that signed it as tls\.ca/,
    )

    const strict = await serverWith({ config: `tls { ${tls}, ca_file: "${file("ca.pem")}", verify: true }` })
    const to = `tls://localhost:${strict.port}`
    await opens({ servers: to, tls: { ca: file("ca.pem"), cert: file("client.pem"), key: file("client.key") } })
    expect((await refusal({ servers: to, tls: { ca: file("ca.pem") } }))._tag).toBe("NatsUnreachable")
  })

  test("of a server that has none is refused, and nothing is sent in the clear", async () => {
    const { port } = await serverWith({})
    const error = await refusal({ servers: `tls://localhost:${port}` })
    expect(error._tag).toBe("NatsUnreachable")
    expect(error.message).toMatch(/the server has no TLS/)
  })
})

describe("a server that can't hold a log", () => {
  test("is too old", async () => {
    const info = { server_id: "x", version: "2.8.4", proto: 1, max_payload: 1_048_576, headers: true, jetstream: true }
    const address = await tcpServer(`INFO ${JSON.stringify(info)}\r\n`)
    const error = await refusal({ servers: address })
    expect(error.message).toBe(
      `The NATS server ${address} can't hold a log: it is version 2.8.4, and 2.9.0 is the oldest that will do. Upgrade the server.`,
    )
  })

  test.each([
    ["2.9.0", true],
    ["2.9.10", true],
    ["2.10.27", true],
    ["v2.12.1-binary", true],
    ["3.0.0", true],
    ["2.8.99", false],
    ["1.9.9", false],
    ["unknown", false],
    ["", false],
  ])("version %s is new enough: %s", (version, enough) => {
    expect(versionProblem(version) === null).toBe(enough)
  })

  test("versions are compared as numbers", () => {
    expect(isAtLeast("2.10.0", "2.9.0")).toBe(true)
    expect(isAtLeast("2.9.10", "2.9.9")).toBe(true)
    expect(isAtLeast("2.9.10", "2.10.0")).toBe(false)
  })

  test("has no JetStream", async () => {
    const { url, port } = await serverWith({ jetstream: null })
    expect((await refusal({ servers: url })).message).toBe(
      `The NATS server 127.0.0.1:${port} can't hold a log: JetStream is not enabled there for this account. Enable it in the server's configuration ("jetstream { store_dir: … }") and for the account; if it was, the server's log says why it is off.`,
    )
  })

  test("has JetStream, but not for this account", async () => {
    const config = "accounts { with: { jetstream: enabled }, without: { users: [{ user: ann, password: s3cret }] } }"
    const { port } = await serverWith({ config })
    const error = await refusal({ servers: `nats://ann:s3cret@127.0.0.1:${port}` })
    expect(error.message).toContain("JetStream is not enabled there for this account")
  })

  test("takes only small messages", async () => {
    const { url } = await serverWith({ config: "max_payload: 65536" })
    expect((await refusal({ servers: url })).message).toContain(
      "its max_payload is 65536 bytes, and batches are up to 1048576. Raise max_payload in its configuration.",
    )
  })
})

test.each([
  [{ project: "a.b" }, "project"],
  [{ project: "" }, "project"],
  [{ partitions: 0 }, "partitions"],
  [{ partitions: 257 }, "partitions"],
  [{ maxAge: "1 second" }, "maxAge"],
  [{ patience: "2 minutes" }, "patience"],
] as const)("the option %j is refused", async (options, option) => {
  const error = await refusal({ servers: "nats://127.0.0.1:1", ...options })
  expect(error).toMatchObject({ _tag: "BadNatsOptions", option })
})
