import { describe, expect, test } from "vitest"
import { clockFinding } from "../../src/app/doctor/clockFindings.ts"
import type { Finding } from "../../src/app/doctor/Finding.ts"
import { natsFindings } from "../../src/app/doctor/natsFindings.ts"
import { postgresFindings } from "../../src/app/doctor/postgresFindings.ts"
import type { NatsReport } from "../../src/infra/nats/inspectNats.ts"
import type { PostgresReport } from "../../src/infra/sql/inspectPostgres.ts"
import { SCHEMA_VERSION } from "../../src/infra/sql/migrations.ts"

/** What the doctor makes of what servers say; test/cli/servers.test.ts has real ones say it. */

const NATS: NatsReport = {
  server: "n1:4222",
  version: "2.15.1",
  servers: 3,
  stream: "tidemark_shop",
  controlStream: "tidemark-control_shop",
  replicas: 3,
  behind: [],
  dedupeSeconds: 120,
  discard: "new",
  maxBytes: null,
  maxAgeSeconds: null,
  records: 1000,
  bytes: 100 * 2 ** 20,
  account: { maxBytes: null, bytes: 100 * 2 ** 20 },
  skewMillis: 3,
  roundTripMillis: 2,
}

const POSTGRES: PostgresReport = {
  version: "17.2",
  fsync: "on",
  synchronousCommit: "on",
  fullPageWrites: "on",
  readOnly: false,
  connections: 12,
  connectionsMax: 100,
  keepsSessions: true,
  schema: "tidemark",
  schemaVersion: SCHEMA_VERSION,
  role: "tidemark",
  mayCreate: true,
  notWritable: [],
  skewMillis: -2,
  roundTripMillis: 1,
}

const notOk = (findings: ReadonlyArray<Finding>) =>
  findings
    .filter(({ outcome }) => outcome !== "ok")
    .map(({ check, outcome, found }) => [check, outcome, found] as const)

describe("NATS", () => {
  test("a cluster that is well: only what a client can't see is to be looked at", () => {
    expect(notOk(natsFindings(NATS))).toEqual([
      ["NATS fsync", "warning", expect.stringContaining("sync_interval: always")],
    ])
  })

  test("one that can't sync every write is not told to: it would refuse the setting", () => {
    const [[check, outcome, found] = []] = notOk(natsFindings({ ...NATS, version: "2.9.25" }))
    expect([check, outcome]).toEqual(["NATS fsync", "warning"])
    expect(found).toMatch(/^version 2\.9\.25 can't sync every write; upgrade to 2\.10 or newer/)
  })

  test.each<readonly [string, Partial<NatsReport>, RegExp]>([
    [
      "NATS replication",
      { replicas: 1, servers: 1 },
      /one copy \(R1\).* the log is lost.* Run a cluster of three servers/,
    ],
    [
      "NATS replication",
      { replicas: 1 },
      /one copy \(R1\).*"nats stream edit tidemark_shop --replicas=3" and the same for tidemark-control_shop make three$/,
    ],
    ["NATS replication", { behind: ["n2"] }, /^3 copies, and n2 is away or behind/],
    ["NATS dedupe window", { dedupeSeconds: 86_400 }, /86400 s: .*--dupe-window=2m/],
    ["NATS room", { maxBytes: 110 * 2 ** 20 }, /10 MiB are left of the stream's max_bytes \(110 MiB\).*refused/],
    ["NATS room", { account: { maxBytes: 90 * 2 ** 20, bytes: 100 * 2 ** 20 } }, /0 MiB are left of the account's/],
    [
      "NATS retention",
      { maxAgeSeconds: 7 * 86_400 },
      /removed after 168 h: a rebuild makes the numbers of what is left/,
    ],
  ])("%s: %o", (check, change, found) => {
    expect(notOk(natsFindings({ ...NATS, ...change }))).toContainEqual([check, "warning", expect.stringMatching(found)])
  })
})

describe("PostgreSQL", () => {
  test("one that is well", () => {
    expect(notOk(postgresFindings(POSTGRES))).toEqual([])
  })

  test.each<readonly [string, Finding["outcome"], Partial<PostgresReport>, RegExp]>([
    ["PostgreSQL fsync", "warning", { fsync: "off" }, /^fsync is off: a power cut can damage/],
    ["PostgreSQL fsync", "warning", { fullPageWrites: "off" }, /^full_page_writes is off/],
    ["PostgreSQL fsync", "warning", { synchronousCommit: "off" }, /project again from the log/],
    ["PostgreSQL writes", "failure", { readOnly: true }, /it only reads.*use the server that writes/],
    ["PostgreSQL connections", "warning", { connections: 85 }, /^85 of 100 .*TIDEMARK_POSTGRES_POOL/],
    ["PostgreSQL pooler", "warning", { keepsSessions: false }, /one transaction at a time/],
    [
      "PostgreSQL rights",
      "failure",
      { notWritable: ["cells", "facts"] },
      /write or empty cells, facts, .*GRANT SELECT/,
    ],
    ["PostgreSQL rights", "warning", { mayCreate: false }, /GRANT CREATE ON SCHEMA tidemark TO tidemark$/],
  ])("%s is a %s: %o", (check, outcome, change, found) => {
    expect(notOk(postgresFindings({ ...POSTGRES, ...change }))).toEqual([
      [check, outcome, expect.stringMatching(found)],
    ])
  })
})

describe("clocks", () => {
  test.each([
    [3, 2, "ok", "3 ms ahead of this machine's (± 1 ms)"],
    [-9000, 2, "warning", "9000 ms behind this machine's"],
    // The answer may have been under way for all of it.
    [9000, 20_000, "ok", "9000 ms ahead of"],
    [null, 2, "ok", "it does not tell the time"],
  ] as const)("%s ms apart, %s ms there and back: %s", (skew, roundTrip, outcome, found) => {
    expect(clockFinding("NATS", skew, roundTrip)).toMatchObject({
      check: "clock of NATS",
      outcome,
      found: expect.stringContaining(found),
    })
  })
})
