import { once } from "node:events"
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { encodeManifest, type Manifest } from "../../src/app/archive/manifest.ts"
import { openArchive } from "../../src/app/archive/openArchive.ts"
import { importFile } from "../../src/app/import/importFile.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { CONTROL_PARTITION, EventLog } from "../../src/domain/log/EventLog.ts"
import { Quarantine, type QuarantinedLine } from "../../src/domain/log/Quarantine.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { openSqliteLog } from "../../src/infra/embedded/SqliteLog.ts"
import { chainOf } from "../contract/eventLog.ts"
import { accept } from "../support/accept.ts"
import {
  contentOf,
  embeddedLog,
  exportTo,
  importFrom,
  quarantineOf,
  recordsOf,
  refusalOf,
  serversLog,
  type TestLog,
  type TestProject,
} from "../support/archives.ts"
import { startNode } from "../support/cli.ts"
import { type Servers, startServers } from "../support/servers.ts"

/** Logs written to files and restored from them, between real stores of both kinds. */

const root = mkdtempSync(join(tmpdir(), "tidemark-archive-"))
let servers: Servers
let made = 0

beforeAll(async () => {
  servers = await startServers()
})
afterAll(async () => {
  await servers.dispose()
  rmSync(root, { recursive: true, force: true })
})

const newPath = (): string => join(root, `${++made}`)

const newProject = (partitions: number): TestProject => ({
  nats: servers.nats.url,
  postgres: servers.postgres.url(),
  project: `archive_${++made}`,
  partitions,
})

const KINDS: Readonly<Record<"embedded" | "servers", (partitions: number) => TestLog>> = {
  embedded: (partitions) => embeddedLog(newPath(), partitions),
  servers: (partitions) => serversLog(newProject(partitions)),
}

const EVENTS = Array.from(simulate({ users: 60, days: 20, seed: 3 }), (raw) => accept(raw))

const quarantined = (line: number, raw: string): QuarantinedLine => ({
  source: "events.ndjson",
  line,
  reason: "not-json",
  detail: "The line is not JSON.",
  raw,
  context: "{}",
  quarantinedAt: 1_772_000_000_000 + line,
})

const LINES = [quarantined(1, "{ broken"), quarantined(2, "a\u0000b\u2028c\nd"), quarantined(9, "ü😀")]

/** Removes the records of a project's events before a sequence. */
const purge = async (project: string, before: number): Promise<void> => {
  const nats = await connect({ servers: servers.nats.url })
  try {
    const manager = await jetstreamManager(nats)
    await manager.streams.purge(`tidemark_${project}`, { seq: before })
  } finally {
    await nats.close()
  }
}

/** Two processes one after the other, with control facts and a quarantine. */
const fill = async (log: TestLog): Promise<void> => {
  const half = EVENTS.length >> 1
  await log.run(
    Effect.gen(function* () {
      const writer = yield* LogWriter
      yield* writer.appendTo(CONTROL_PARTITION, [EVENTS[0]!])
      for (let at = 0; at < half; at += 100) yield* writer.append(EVENTS.slice(at, Math.min(at + 100, half)))
      yield* (yield* Quarantine).add(LINES.slice(0, 2))
    }),
  )
  await log.run(
    Effect.gen(function* () {
      const writer = yield* LogWriter
      yield* writer.append(EVENTS.slice(half))
      yield* writer.appendTo(CONTROL_PARTITION, [EVENTS[1]!])
      yield* (yield* Quarantine).add(LINES.slice(2))
    }),
  )
}

const emptiness = Effect.gen(function* () {
  return { records: (yield* (yield* EventLog).status).length, lines: (yield* quarantineOf).length }
})

describe.each([
  ["embedded", "embedded"],
  ["embedded", "servers"],
  ["servers", "embedded"],
  ["servers", "servers"],
] as const)("a log moved from %s to %s", (from, to) => {
  test("is the same in every byte but its positions, and goes on", async () => {
    const source = KINDS[from](3)
    await fill(source)
    const archive = newPath()
    const manifest = await source.run(exportTo(archive, { fileBytes: 10_000 }))
    // Enough files to go wrong with.
    expect(manifest.files.filter(({ partition }) => partition === 1).length).toBeGreaterThan(2)
    expect(manifest.totals).toMatchObject({ events: EVENTS.length, controlFacts: 2, quarantined: 3 })

    const target = KINDS[to](3)
    const imported = await target.run(importFrom(archive))
    expect(imported).toMatchObject({ ...manifest.totals, alreadyThere: 0 })
    expect(await target.run(contentOf)).toEqual(await source.run(contentOf))
    expect(await target.run(quarantineOf)).toEqual(await source.run(quarantineOf))

    // The report says where everything was and is.
    const spans = async (log: TestLog) =>
      (await log.run(recordsOf)).map(({ records }) => ({
        first: records[0]!.position.sequence,
        last: records.at(-1)!.position.sequence,
      }))
    expect(imported.partitions.map(({ from }) => from)).toEqual(await spans(source))
    expect(imported.partitions.map(({ to }) => to)).toEqual(await spans(target))

    // Again, nothing is done.
    expect(await target.run(importFrom(archive))).toMatchObject({ alreadyThere: manifest.totals.records })

    // New events follow, of two processes, and the whole proves itself.
    const more = EVENTS.slice(0, 50).map((event) => ({ ...event, id: `more-${event.id}` }))
    await target.run(LogWriter.use((writer) => writer.append(more)))
    await target.run(LogWriter.use((writer) => writer.append(more)))
    const all = await target.run(recordsOf)
    const events = all
      .filter(({ partition }) => partition >= 0)
      .flatMap(({ records }) => records)
      .reduce((sum, { batch }) => sum + batch.count, 0)
    expect(events).toBe(EVENTS.length + 100)
    expect(await refusalOf(target, importFrom(archive))).toMatch(
      /^An archive goes into an empty log, .* this one goes on after the archive's end, up to \d\/\d+\. Nothing was written\./,
    )
  })
})

describe("an archive", () => {
  let archive: string
  let manifest: Manifest
  const target = () => KINDS.embedded(3)

  beforeAll(async () => {
    const source = KINDS.embedded(3)
    await fill(source)
    archive = newPath()
    manifest = await source.run(exportTo(archive, { fileBytes: 20_000 }))
  })

  /** A copy of the archive, to damage. */
  const copy = (): string => {
    const directory = newPath()
    cpSync(archive, directory, { recursive: true })
    return directory
  }

  const expectRefused = async (directory: string, message: RegExp) => {
    const log = target()
    expect(await refusalOf(log, importFrom(directory))).toMatch(message)
    expect(await log.run(emptiness)).toEqual({ records: 0, lines: 0 })
  }

  const flip = (path: string, at: number) => {
    const bytes = readFileSync(path)
    bytes[at]! ^= 1
    writeFileSync(path, bytes)
  }

  test("with a file damaged, cut short or missing is refused by the file's name, before anything is written", async () => {
    const names = [...manifest.files, ...manifest.quarantine].map(({ name }) => name)
    for (const name of names) {
      const { length } = readFileSync(join(archive, name))
      const says = (problem: string) => new RegExp(`is damaged: ${name.replaceAll(".", "\\.")} ${problem}`)
      const flipped = copy()
      flip(join(flipped, name), length >> 1)
      await expectRefused(flipped, says("does not match its checksum"))
      const cut = copy()
      truncateSync(join(cut, name), length - 1)
      await expectRefused(cut, says(`has ${length - 1} bytes, and the export wrote ${length}`))
      const without = copy()
      rmSync(join(without, name))
      await expectRefused(without, says("is missing"))
    }
  })

  test("with a file more, or two that changed places, is refused", async () => {
    const more = copy()
    writeFileSync(join(more, "partition-0-000099.batches.zst"), "")
    await expectRefused(more, /partition-0-000099\.batches\.zst is not of this archive/)
    const [first, second] = manifest.files.filter(({ partition }) => partition === 0).map(({ name }) => name)
    const swapped = copy()
    renameSync(join(swapped, first!), join(swapped, "aside"))
    renameSync(join(swapped, second!), join(swapped, first!))
    renameSync(join(swapped, "aside"), join(swapped, second!))
    await expectRefused(swapped, new RegExp(`${first} (has \\d+ bytes|does not match)`))
  })

  test("whose manifest is damaged, missing, newer or was never written is refused", async () => {
    const damaged = copy()
    const text = readFileSync(join(damaged, "manifest.json"), "utf8")
    writeFileSync(join(damaged, "manifest.json"), text.replace(`"partitions": 3`, `"partitions": 4`))
    await expectRefused(damaged, /manifest\.json does not match its checksum/)
    writeFileSync(join(damaged, "manifest.json"), text.slice(0, 100))
    await expectRefused(damaged, /manifest\.json is not JSON/)
    writeFileSync(join(damaged, "manifest.json"), JSON.stringify({ ...manifest, version: 2 }))
    await expectRefused(damaged, /has format 2; this version of Tidemark knows up to format 1\. Upgrade Tidemark\./)
    rmSync(join(damaged, "manifest.json"))
    await expectRefused(
      damaged,
      /there is no manifest\.json in it\. Name a directory that "tidemark log export" wrote\./,
    )
    writeFileSync(join(damaged, "manifest.json.unfinished"), "")
    await expectRefused(damaged, /the export was not finished\. Export the log again, to the same directory\./)
    await expectRefused(newPath(), /there is no such directory/)
  })

  test("whose manifest was made to fit is still judged by the chains", async () => {
    const rewrite = (files: Manifest["files"], gone?: string): string => {
      const directory = copy()
      writeFileSync(join(directory, "manifest.json"), encodeManifest({ ...manifest, files }))
      if (gone !== undefined) rmSync(join(directory, gone))
      return directory
    }
    const ofOne = manifest.files.filter(({ partition }) => partition === 1)
    const others = manifest.files.filter(({ partition }) => partition !== 1)
    await expectRefused(
      rewrite([...others, ...ofOne.toReversed()]),
      new RegExp(`${ofOne.at(-1)!.name} is damaged at record \\d+: \\d+ batches of writer \\S+ are missing`),
    )
    await expectRefused(
      rewrite([...others, ...ofOne.slice(0, 1), ...ofOne.slice(2)], ofOne[1]!.name),
      new RegExp(`${ofOne[2]!.name} is damaged at record \\d+: .* missing`),
    )
    await expectRefused(
      rewrite([...others, { ...ofOne[0]!, partition: 0 }, ...ofOne.slice(1)]),
      new RegExp(`${ofOne[0]!.name} (has record \\d+ after record|is damaged at record \\d+: a batch of partition 1)`),
    )
  })

  test("goes into a log of as many partitions, with nothing else in it", async () => {
    expect(await refusalOf(KINDS.embedded(1), importFrom(archive))).toMatch(
      /^The archive has 3 partitions and the log has 1 partition, .* Nothing was written\. Name another directory \(--dir\)/,
    )
    const begun = target()
    await begun.run(LogWriter.use((writer) => writer.append(EVENTS.slice(0, 1))))
    expect(await refusalOf(begun, importFrom(archive))).toMatch(
      /this one has another record at \d\/1 than the archive at 1\. Nothing was written\./,
    )
    const controlled = target()
    await controlled.run(LogWriter.use((writer) => writer.appendTo(CONTROL_PARTITION, EVENTS.slice(0, 1))))
    expect(await refusalOf(controlled, importFrom(archive))).toMatch(/this one has another record at -1\/1/)
  })

  test("that NATS takes for a repeat of what was purged is not said to be restored", async () => {
    const options = newProject(3)
    const log = serversLog(options)
    await log.run(importFrom(archive))
    await purge(options.project, 1_000_000)
    expect(await refusalOf(log, importFrom(archive))).toMatch(
      /^After the import partition 0 of the log has 0 records, and the archive has \d+: .* less than two minutes ago\./,
    )
  })

  test("is not written over a finished one, nor among other files, and begins anew where it was cut off", async () => {
    const log = KINDS.embedded(1)
    const here = copy()
    expect(await refusalOf(log, exportTo(here))).toMatch(/there is a finished export in it\. Nothing was written\./)
    // Cut off: the manifest is not there yet.
    renameSync(join(here, "manifest.json"), join(here, "manifest.json.unfinished"))
    appendFileSync(join(here, "notes.txt"), "mine")
    expect(await refusalOf(log, exportTo(here))).toMatch(/it is not empty \(notes\.txt is in it\)/)
    expect(readdirSync(here).length).toBe(readdirSync(archive).length + 1)
    rmSync(join(here, "notes.txt"))
    await log.run(LogWriter.use((writer) => writer.append(EVENTS.slice(0, 5))))
    await log.run(exportTo(here))
    expect(readdirSync(here).toSorted()).toEqual(["manifest.json", "partition-0-000001.batches.zst"])
    expect((await KINDS.embedded(1).run(importFrom(here))).events).toBe(5)
  })

  test("of an empty log makes an empty log", async () => {
    const empty = newPath()
    await KINDS.embedded(2).run(exportTo(empty))
    const log = KINDS.servers(2)
    expect(await log.run(importFrom(empty))).toMatchObject({ records: 0, partitions: [] })
    expect(await log.run(emptiness)).toEqual({ records: 0, lines: 0 })
  })

  test("is not made of a damaged log", async () => {
    const directory = newPath()
    const log = embeddedLog(directory, 1)
    for (let n = 0; n < 5; n++) await log.run(LogWriter.use((writer) => writer.append([EVENTS[n]!])))
    await Effect.runPromise(
      Effect.scoped(
        Effect.map(openSqliteLog(directory, { partitions: 1 }), ({ database }) =>
          database.exec("UPDATE records SET zstd = (SELECT zstd FROM records WHERE sequence = 2) WHERE sequence = 3"),
        ),
      ),
    )
    const to = newPath()
    expect(await refusalOf(log, exportTo(to))).toMatch(
      /^The log is damaged at 0\/3: batch 2 of writer \S+ stands here a/,
    )
    expect(existsSync(join(to, "manifest.json"))).toBe(false)
  })

  test("ends where the log ended when it was begun, while writers go on", async () => {
    const log = KINDS.servers(2)
    await fill(log)
    const to = newPath()
    const { totals } = await log.run(
      Effect.gen(function* () {
        const writer = yield* LogWriter
        let appended = 0
        const append = Effect.suspend(() => writer.append([{ ...EVENTS[appended++]!, id: `later-${appended}` }]))
        const writing = yield* Effect.forkChild(Effect.forever(append))
        const exported = yield* exportTo(to)
        yield* Effect.yieldNow
        expect(writing.pollUnsafe()).toBeUndefined()
        return exported
      }),
    )
    expect(totals.events).toBeGreaterThanOrEqual(EVENTS.length)
    const copied = KINDS.embedded(2)
    await copied.run(importFrom(to))
    const records = (await copied.run(contentOf)).map(({ batches }) => batches)
    const there = (await log.run(contentOf)).map(({ batches }, n) => batches.slice(0, records[n]!.length))
    expect(records).toEqual(there)
  })

  test("is not made of a log whose front was removed, since nothing could prove it; events are", async () => {
    const options = newProject(1)
    const log = serversLog(options)
    await fill(log)
    await purge(options.project, 4)
    expect(await refusalOf(log, exportTo(newPath()))).toMatch(
      /^Could not export the log: its records before sequence 4 were removed by retention or a purge.*--format ndjson/,
    )
    const { totals } = await log.run(exportTo(newPath(), { format: "ndjson" }))
    expect(totals.events).toBeGreaterThan(0)
    expect(totals.events).toBeLessThan(EVENTS.length)
  })
})

test("the one writer of a log that finds others after itself stops, and does not begin a chain a second time", async () => {
  const log = KINDS.embedded(1)
  await log.run(LogWriter.use((writer) => writer.append(EVENTS.slice(0, 2))))
  await log.run(EventLog.use(({ append }) => append(chainOf(1, { writer: "stranger" }))))
  expect(
    await refusalOf(
      log,
      LogWriter.use((writer) => writer.append(EVENTS.slice(2, 3))),
    ),
  ).toMatch(/^The log is damaged at 0\/2: its last batch is of writer stranger, but only \S+ writes here, since 1\./)
})

describe("events for other tools", () => {
  test("are all of them, repeats included, and an import reads them back", async () => {
    const log = KINDS.embedded(2)
    await fill(log)
    await log.run(LogWriter.use((writer) => writer.append(EVENTS.slice(0, 10))))
    const to = newPath()
    const { files, totals } = await log.run(exportTo(to, { format: "ndjson", fileBytes: 20_000 }))
    expect(totals.events).toBe(EVENTS.length + 10)
    expect(files.length).toBeGreaterThan(4)
    expect(await Effect.runPromise(Effect.flip(openArchive(to)))).toMatchObject({
      message: expect.stringMatching(
        /it holds events as NDJSON, for other tools\. To restore a log, export it with "--format batches"; "tidemark import .*\/partition-\*" reads these back as events\.$/,
      ),
    })
    const options = { format: "auto", map: {}, eventName: null, zone: TimeZone.utc, now: Date.now() } as const
    const rows = await Effect.runPromise(
      Stream.fromIterable(files.filter(({ partition }) => partition >= 0)).pipe(
        Stream.flatMap(({ name }) => importFile(join(to, name), options)),
        Stream.flattenIterable,
        Stream.runCollect,
      ),
    )
    const found = rows.flatMap((row) => (row._tag === "Accepted" ? [row.event] : []))
    const logged = await log.run(
      Effect.forEach([0, 1], (partition) => Stream.runCollect(readBatches(partition))).pipe(
        Effect.map((all) => all.flat().flatMap(({ batch }) => batch.events())),
      ),
    )
    expect(found).toEqual(logged.map((event) => ({ ...event, timestamp: event.time, sentAt: null, warnings: [] })))
  })
})

describe("an import that is killed", () => {
  const IMPORTER = fileURLToPath(new URL("../crash/importer.ts", import.meta.url))

  let source: TestLog
  let archive: string
  let records: number

  beforeAll(async () => {
    // Large enough that a partition takes several appends.
    source = KINDS.embedded(2)
    await source.run(
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.append(chainOf(2, { partition: CONTROL_PARTITION, size: 900_000 }))
        yield* log.append(chainOf(12, { partition: 0, size: 900_000 }))
        yield* log.append(chainOf(7, { partition: 1, size: 900_000 }))
        yield* (yield* Quarantine).add(LINES)
      }),
    )
    archive = newPath()
    records = (await source.run(exportTo(archive))).totals.records
  })

  test.each([
    { kind: "embedded", kills: [1, 1] },
    { kind: "servers", kills: [1] },
  ] as const)("goes on where it was, into $kind", async ({ kind, kills }) => {
    const project = newProject(2)
    const directory = newPath()
    const target = kind === "embedded" ? embeddedLog(directory, 2) : serversLog(project)
    const where = kind === "embedded" ? { directory, partitions: 2 } : project
    let before = 0
    for (const appends of kills) {
      const child = startNode(IMPORTER, [archive, String(appends), JSON.stringify(where)])
      let errors = ""
      child.stderr!.on("data", (block: Buffer) => (errors += block.toString("utf8")))
      const [code, signal] = await once(child, "exit")
      expect({ code, signal, errors }).toEqual({ code: null, signal: "SIGKILL", errors: "" })
      const status = await target.run(EventLog.use(({ status }) => status))
      const held = status.reduce((sum, { records }) => sum + records, 0)
      expect(held).toBeGreaterThan(before)
      expect(held).toBeLessThan(records)
      before = held
    }
    const imported = await target.run(importFrom(archive))
    expect(imported.alreadyThere).toBeGreaterThanOrEqual(before)
    expect(await target.run(contentOf)).toEqual(await source.run(contentOf))
    expect(await target.run(quarantineOf)).toEqual(await source.run(quarantineOf))
  })
})
