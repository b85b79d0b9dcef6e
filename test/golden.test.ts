import { deepStrictEqual } from "node:assert"
import { copyFileSync, mkdirSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Result, Stream } from "effect"
import { afterAll, describe, expect, test } from "vitest"
import { Analytics } from "../src/app/Analytics.ts"
import { ARCHIVE_VERSION } from "../src/app/archive/manifest.ts"
import { layerEmbedded } from "../src/app/embedded.ts"
import { Projector } from "../src/app/projection/Projector.ts"
import { readBatches } from "../src/app/readBatches.ts"
import { verify } from "../src/app/verify/verify.ts"
import { CONTROL_FACTS, decodeControlFact } from "../src/domain/control/ControlFact.ts"
import { newestVersion } from "../src/domain/control/FactHistory.ts"
import { EVENT_KINDS, EVENT_WARNINGS, type Event } from "../src/domain/event/Event.ts"
import type { JsonObject } from "../src/domain/event/json.ts"
import { type Batch, type BatchOrigin, decodeBatch, DECODERS, encodeBatch } from "../src/domain/log/batch.ts"
import { CONTROL_PARTITION, EventLog } from "../src/domain/log/EventLog.ts"
import { openSpoolFile } from "../src/infra/embedded/SpoolFile.ts"
import { FORMAT, LOG_FILE, openSqliteLog } from "../src/infra/embedded/SqliteLog.ts"
import { makeSqliteQuarantine } from "../src/infra/embedded/SqliteQuarantine.ts"
import { identityOf } from "../src/infra/nats/streamConfig.ts"
import { contentOf, embeddedLog, importFrom, quarantineOf } from "./support/archives.ts"
import { scratch } from "./support/cli.ts"
import { faultsOf, GOLDEN, hashGoldenFiles, lostSince, readShipped, shippedInHistory } from "./support/shipped.ts"

/**
 * What every version wrote to a log, as files that stay as they are for ever, read by today's code
 * (docs/explanation/evolution.md).
 */

const versionsTo = (newest: number): ReadonlyArray<number> => Array.from({ length: newest }, (_, n) => n + 1)

/** The versions that today's code reads. */
const READABLE: Readonly<Record<string, ReadonlyArray<number>>> = {
  batch: [...DECODERS.keys()],
  ...Object.fromEntries(
    Object.entries(CONTROL_FACTS).map(([name, history]) => [name, versionsTo(newestVersion(history))]),
  ),
  log: versionsTo(FORMAT),
  archive: versionsTo(ARCHIVE_VERSION),
  stream: [1],
}

const shipped = readShipped()

describe("the golden files", () => {
  test("are all there, unchanged, listed, and each version has a decoder", () => {
    expect(faultsOf(shipped, hashGoldenFiles(), READABLE)).toEqual([])
  })

  test("are all that any commit listed", (context) => {
    const history = shippedInHistory()
    if (history === null) {
      console.log("skipped: no git history of test/golden/shipped.json here")
      return context.skip()
    }
    const lost = history.flatMap(({ commit, shipped: earlier }) =>
      lostSince(earlier, shipped).map((sentence) => `${sentence} (commit ${commit})`),
    )
    expect(lost).toEqual([])
  })

  test("are missed when something is taken away", () => {
    const files = hashGoldenFiles()
    const [first] = files.keys()
    const without = new Map([...files].filter(([name]) => name !== first))
    expect(faultsOf(shipped, without, READABLE)).toEqual([`${first} is gone: put it back.`])
    expect(faultsOf(shipped, new Map(files).set(first!, "00"), READABLE)).toEqual([
      `${first} is not what it was when it was listed: put it back.`,
    ])
    expect(faultsOf(shipped, new Map(files).set("batch-v99.json", "00"), READABLE)).toEqual([
      "batch-v99.json is not listed in shipped.json.",
    ])
    expect(faultsOf(shipped, files, { ...READABLE, batch: [...DECODERS.keys(), 99] })).toEqual([
      "Version 99 of batch has no golden file in shipped.json.",
    ])
    expect(faultsOf(shipped, files, { ...READABLE, batch: [] })).toContain(
      "Nothing reads version 1 of batch any more: put its decoder back.",
    )
    const { stream: _stream, ...shorter } = shipped
    const sentence = "stream-v1.json (version 1 of stream) was listed in shipped.json."
    expect(lostSince(shipped, shorter)).toEqual([sentence])
    expect(lostSince(shipped, { ...shipped, stream: { "1": { "stream-v1.json": "00" } } })).toEqual([sentence])
    expect(lostSince(shorter, shipped)).toEqual([])
  })
})

const read = (name: string): Buffer => readFileSync(join(GOLDEN, name))

const readJson = (name: string): unknown => JSON.parse(read(name).toString())

/** `batch-v1.json` and the like were written by hand; the bytes beside them are what this code made of them, once. */
interface GoldenBatch {
  readonly origin: BatchOrigin
  readonly sum: string
  readonly events: ReadonlyArray<Event>
}

describe("batches", () => {
  const names = Object.keys(shipped["batch"]!["1"]!).flatMap((name) => /^(.+)\.ndjson$/.exec(name)?.[1] ?? [])
  const batches = names.map((name) => ({
    name,
    bytes: read(`${name}.ndjson`),
    ...(readJson(`${name}.json`) as GoldenBatch),
  }))
  /** Written as a version after this one would. */
  const NEWER = "batch-v1-newer"

  test.each(batches)("$name decodes to the events that were written", ({ bytes, origin, sum, events }) => {
    const batch = Result.getOrThrow(decodeBatch(bytes))
    deepStrictEqual(batch.events(), events)
    deepStrictEqual(batch.origin, origin)
    expect(batch.sum).toBe(sum)
    expect(batch.id).toBe(`${origin.writer}.${origin.partition}.${origin.number}`)
  })

  test.each(batches.filter(({ name }) => name !== NEWER))("$name is what its events encode to", (golden) => {
    expect(Buffer.from(encodeBatch(golden.origin, golden.events).bytes).toString()).toBe(golden.bytes.toString())
  })

  test("hold every kind and every warning, those of a newer version too, and columns with one entry for all", () => {
    const events = batches.flatMap((batch) => batch.events)
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set([...EVENT_KINDS, "unknown(7)"]))
    expect(new Set(events.flatMap(({ warnings }) => warnings))).toEqual(new Set([...EVENT_WARNINGS, "unknown(7)"]))
    const {
      ids: _ids,
      time: _time,
      warnings: _warnings,
      ...columns
    } = JSON.parse(read("batch-v1-constant.ndjson").toString().split("\n")[0]!) as JsonObject
    for (const name of ["kind", "name", "user", "anonym", "session", "timestamp", "sentAt", "receivedAt"]) {
      expect(columns[name]).toBeTypeOf("number")
    }
  })
})

describe("control facts", () => {
  test("settings_changed, version 1: the settings that change", () => {
    for (const body of readJson("settings_changed-v1.json") as ReadonlyArray<JsonObject>) {
      expect(Result.getOrThrow(decodeControlFact("settings_changed", body)).body).toEqual(body)
    }
  })

  test("metric_applied, version 1: the definition, which went live when it was built", () => {
    for (const definition of readJson("metric_applied-v1.json") as ReadonlyArray<JsonObject>) {
      const { body } = Result.getOrThrow(decodeControlFact("metric_applied", definition))
      expect(body).toEqual({ definition, promote: "when-built", by: null, why: null })
    }
  })

  test.each([
    "metric_applied-v2",
    "metric_promoted-v1",
    "metric_rolled_back-v1",
    "metric_dropped-v1",
    "metric_retired-v1",
    "rebuild_requested-v1",
  ])("%s", (file) => {
    for (const body of readJson(`${file}.json`) as ReadonlyArray<JsonObject>) {
      expect(Result.getOrThrow(decodeControlFact(file.slice(0, -3), body)).body).toEqual(body)
    }
  })
})

describe("the embedded log", () => {
  const here = scratch()
  afterAll(() => here.remove())

  /** Runs with a directory that holds a golden file as its log. */
  const withLog = async <A>(name: string, use: (directory: string) => Promise<A>): Promise<A> => {
    const directory = await mkdtemp(join(tmpdir(), "tidemark-golden-"))
    try {
      copyFileSync(join(GOLDEN, name), join(directory, LOG_FILE))
      return await use(directory)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  test("format 1 gives its records, chains and quarantine", async () => {
    const found = await withLog("log-v1.db", (directory) =>
      Effect.gen(function* () {
        const { log, database } = yield* openSqliteLog(directory, { partitions: 7 })
        yield* log.prove
        const records = yield* Effect.forEach([CONTROL_PARTITION, 0], (partition) =>
          readBatches(partition).pipe(Stream.runCollect, Effect.provideService(EventLog, log)),
        )
        const quarantine = yield* makeSqliteQuarantine(database).list(0, 10)
        const { incarnation, partitions } = log
        return {
          incarnation,
          partitions,
          records: records.flat().map(({ position, batch }) => ({
            partition: position.partition,
            sequence: position.sequence,
            batchId: position.batchId,
            sum: batch.sum,
            events: batch.events(),
          })),
          quarantine: quarantine.map(({ id: _id, ...line }) => ({ reason: line.reason, line })),
        }
      }).pipe(Effect.scoped, Effect.runPromise),
    )
    expect(found).toEqual(readJson("log-v1.json"))
  })

  test("format 1 as a spool gives what was not taken out", async () => {
    const waiting = await withLog("spool-v1.db", (directory) =>
      Effect.gen(function* () {
        const spool = yield* openSpoolFile(directory)
        const waiting: Array<Batch> = []
        for (let record = yield* spool.next; record !== null; record = yield* spool.next) {
          waiting.push(Result.getOrThrow(decodeBatch(record.bytes)))
          yield* spool.take
        }
        return waiting
      }).pipe(Effect.scoped, Effect.runPromise),
    )
    expect(waiting.map(({ ids }) => ids)).toEqual([["waits"]])
  })

  test("archive, version 1, makes the log that it was made of", async () => {
    const names = Object.keys(shipped["archive"]!["1"]!)
    await withLog("log-v1.db", async (directory) => {
      const archive = join(directory, "archive")
      mkdirSync(archive)
      for (const name of names) copyFileSync(join(GOLDEN, name), join(archive, name.replace("archive-v1.", "")))
      const source = embeddedLog(directory, 1)
      const made = embeddedLog(join(directory, "made"), 1)
      await made.run(importFrom(archive))
      expect(await made.run(contentOf)).toEqual(await source.run(contentOf))
      expect(await made.run(quarantineOf)).toEqual(await source.run(quarantineOf))
      expect(await made.run(quarantineOf)).not.toEqual([])
    })
  })

  test("format 1 gives the numbers that it gave", async () => {
    const directory = await here.store("store")
    copyFileSync(join(GOLDEN, "log-v1.db"), join(directory, LOG_FILE))
    const { week, revenue, buying, differences } = await Effect.gen(function* () {
      yield* Projector.use((projector) => projector.project())
      const analytics = yield* Analytics
      return {
        week: yield* analytics.activeUsers({ interval: "week" }),
        revenue: yield* analytics.metric("revenue"),
        buying: yield* analytics.funnel({ name: "buying" }),
        differences: (yield* verify()).differences,
      }
    }).pipe(Effect.provide(Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory })))), Effect.runPromise)
    // Ada, who is ada.l too, viewed a page, signed up and bought twice; a device saw a screen; nobody's click counts.
    expect(week.rows).toEqual([{ date: "2026-01-05", users: 2, events: 6 }])
    expect(week.timeZone).toBe("Europe/Berlin")
    expect(revenue.totals).toContainEqual({ value: "", stat: "sum:EUR", amount: "20.09" })
    expect(buying.steps.map(({ users }) => users)).toEqual([1, 1])
    expect(differences).toEqual([])
  })
})

test("descriptions of streams, version 1, say which log it is", () => {
  const streams = readJson("stream-v1.json") as ReadonlyArray<{ description: string; identity: unknown }>
  for (const { description, identity } of streams) {
    expect(identityOf({ description })).toEqual(identity)
  }
})
