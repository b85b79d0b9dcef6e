import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { Effect, Redacted } from "effect"
import { afterAll, describe, expect, test } from "vitest"
import { KEY_NAMES } from "../../src/app/config/keys.ts"
import { type ConfigurationSources, readConfiguration } from "../../src/app/config/Configuration.ts"

const directory = mkdtempSync(join(tmpdir(), "tidemark-configuration-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const read = (sources: Partial<ConfigurationSources> = {}) =>
  Effect.runPromise(readConfiguration({ environment: {}, ...sources }))
const refused = async (sources: Partial<ConfigurationSources>) =>
  (await Effect.runPromise(Effect.flip(readConfiguration({ environment: {}, ...sources })))).message

let files = 0
const file = (text: string): string => {
  const path = join(directory, `${++files}.yaml`)
  writeFileSync(path, text)
  return path
}

const SERVERS = {
  TIDEMARK_NATS_URL: "nats://ada:swordfish@n:4222",
  TIDEMARK_POSTGRES_URL: "postgres://ada:herring@p/db",
}

describe("the configuration", () => {
  test("without any, the embedded store in .tidemark", async () => {
    expect(await read()).toEqual({
      directory: ".tidemark",
      servers: null,
      spool: { directory: ".tidemark/spool", maxBytes: 2 ** 30 },
      asOfDirectory: ".tidemark/as-of",
      http: null,
      readyLagSeconds: 300,
      otlpUrl: null,
      logFormat: null,
    })
  })

  test("both URLs in the environment move it to servers; secrets are kept out of sight", async () => {
    const configuration = await read({
      environment: {
        ...SERVERS,
        TIDEMARK_NATS_TOKEN: "mackerel",
        TIDEMARK_PARTITIONS: "4",
        TIDEMARK_HTTP_PORT: "9464",
      },
    })
    const { nats, postgres } = configuration.servers!
    expect(nats).toMatchObject({ partitions: 4 })
    expect(nats).not.toHaveProperty("tls")
    expect(Redacted.value(nats.servers as Redacted.Redacted)).toBe(SERVERS.TIDEMARK_NATS_URL)
    expect(Redacted.value(postgres.url)).toBe(SERVERS.TIDEMARK_POSTGRES_URL)
    expect(configuration.http).toEqual({ host: "0.0.0.0", port: 9464 })
    const shown = inspect(configuration, { depth: 10 }) + JSON.stringify(configuration)
    expect(shown).not.toMatch(/swordfish|herring|mackerel/)
  })

  test("a file gives what the environment doesn't; the environment wins", async () => {
    const path = file(`
project: shop
nats: { url: "nats://n:4222", ca: /etc/ca.pem }
postgres:
  url: postgres://p/db
  pool: 8
spool: { bytes: 2.5 GiB }
log: { format: json }
`)
    const environment = { TIDEMARK_CONFIG: path, TIDEMARK_POSTGRES_POOL: "3", TIDEMARK_PROJECT: "" }
    const configuration = await read({ environment })
    expect(configuration.servers).toMatchObject({
      nats: { project: "shop", tls: { ca: "/etc/ca.pem" } },
      postgres: { poolSize: 3 },
    })
    expect(configuration).toMatchObject({ spool: { maxBytes: 2.5 * 2 ** 30 }, logFormat: "json" })
    // The command line's file wins over the environment's.
    expect((await read({ environment, file: file("dir: elsewhere") })).directory).toBe("elsewhere")
  })

  test.each([
    [{ environment: { TIDEMARK_NATS_URL: "nats://n" } }, /TIDEMARK_NATS_URL is given without TIDEMARK_POSTGRES_URL/],
    [
      { environment: { TIDEMARK_POSTGRES_URL: "postgres://p" } },
      /TIDEMARK_POSTGRES_URL is given without TIDEMARK_NATS_URL/,
    ],
    [{ environment: { TIDEMARK_NAST_URL: "x" } }, /TIDEMARK_NAST_URL .*did you mean TIDEMARK_NATS_URL\.$/],
    [{ environment: SERVERS, directory: "store" }, /the directory store names an embedded store, and .* leave one/],
    [{ environment: { TIDEMARK_HTTP_PORT: "70000" } }, /TIDEMARK_HTTP_PORT must be a whole number from 0 to 65535/],
    [{ environment: { TIDEMARK_SPOOL_BYTES: "much" } }, /TIDEMARK_SPOOL_BYTES must be a size such as/],
    [{ environment: { TIDEMARK_LOG_FORMAT: "xml" } }, /must be one of json, text/],
    [{ environment: { TIDEMARK_OTLP_URL: "collector:4318" } }, /TIDEMARK_OTLP_URL must be an address/],
    [{ file: "/nowhere/at/all.yaml" }, /the file \/nowhere\/at\/all.yaml is not there/],
  ])("%o is refused", async (sources, message) => {
    expect(await refused(sources)).toMatch(message)
  })

  test.each([
    ["nats: { uri: nats://n }", /nats\.uri in .* is no key of Tidemark; did you mean nats\.url/],
    ["tables: 1", /tables in .*; the keys are dir, project/],
    ["nats: nats://n", /nats in .* must be keys with values/],
    ["project: [a]", /project in .* must be one text or number/],
    ["- a", /the file .* must be keys with values/],
    ['postgres: { url: "postgres://ada:herring@p', /^The configuration can't be used: line 1 of .* is not YAML/],
    ["partitions: 0", /partitions in .* must be a whole number from 1 to 256/],
  ])("a file with %s is refused", async (text, message) => {
    const said = await refused({ file: file(text) })
    expect(said).toMatch(message)
    expect(said).not.toContain("herring")
  })

  test("variables of others pass: tests', and those that Kubernetes sets for services called tidemark", async () => {
    const environment = {
      TIDEMARK_TEST_POSTGRES: "/usr/lib",
      TIDEMARK_PORT: "tcp://10.0.0.1:80",
      TIDEMARK_PORT_80_TCP_ADDR: "10.0.0.1",
      TIDEMARK_WORKER_SERVICE_HOST: "10.0.0.1",
    }
    expect((await read({ environment })).servers).toBeNull()
  })
})

test("the reference has every key and its default, and no other", () => {
  const reference = readFileSync(new URL("../../docs/reference/configuration.md", import.meta.url), "utf8")
  const rows = [...reference.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([a-z.]+)`/g)].map(([, key]) => key),
  )
  expect(rows).toEqual(KEY_NAMES)
})
