import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import zlib from "node:zlib"
import { Cause, Effect, Exit, Option, Result, Stream } from "effect"
import { parse as parseCsv } from "csv-parse/sync"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { EVENT_BYTES_MAX } from "../../src/domain/event/size.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { parseColumnMap } from "../../src/app/import/columnMap.ts"
import { CsvRecord } from "../../src/app/import/csvRecord.ts"
import type { ImportError } from "../../src/app/import/errors.ts"
import {
  importFile,
  importLine,
  type ImportOptions,
  type LineContext,
  type Row,
} from "../../src/app/import/importFile.ts"
import { LineSplitter } from "../../src/app/import/lines.ts"
import { RAW_LENGTH_MAX } from "../../src/app/import/row.ts"

let directory = ""

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "tidemark-import-"))
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

const NOW = Date.parse("2026-01-01T00:00:00Z")

const defaults: ImportOptions = {
  format: "auto",
  map: {},
  eventName: null,
  zone: TimeZone.utc,
  now: NOW,
}

interface Outcome {
  readonly rows: ReadonlyArray<Row>
  readonly events: ReadonlyArray<Event>
  readonly rejected: ReadonlyArray<Extract<Row, { _tag: "Rejected" }>>
  readonly error: ImportError | undefined
}

const run = async (file: string, options: Partial<ImportOptions> = {}): Promise<Outcome> => {
  const rows: Array<Row> = []
  const exit = await Effect.runPromiseExit(
    importFile(file, { ...defaults, ...options }).pipe(
      Stream.runForEach((some) =>
        Effect.sync(() => {
          rows.push(...some)
        }),
      ),
    ),
  )
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  if (Exit.isFailure(exit) && error === undefined) throw Cause.squash(exit.cause)
  return {
    rows,
    events: rows.flatMap((row) => (row._tag === "Accepted" ? [row.event] : [])),
    rejected: rows.flatMap((row) => (row._tag === "Rejected" ? [row] : [])),
    error,
  }
}

/** Imports in a process of its own, with its own standard input, and never as root, who may read everything. */
const runInChild = async (file: string, input: Uint8Array = Buffer.alloc(0)): Promise<unknown> => {
  const script = `
    import { Effect, Stream } from "effect"
    import { importFile } from "./src/app/import/importFile.ts"
    import { TimeZone } from "./src/domain/time/TimeZone.ts"
    if (process.getuid?.() === 0) process.seteuid(65534)
    const options = { format: "auto", map: {}, eventName: null, zone: TimeZone.utc, now: ${NOW} }
    const printed = await Effect.runPromise(
      Stream.runCollect(importFile(${JSON.stringify(file)}, options)).pipe(
        Effect.match({
          onSuccess: (rows) => ({ names: rows.flat().map((row) => row.event.name) }),
          onFailure: (error) => ({ error: error._tag }),
        }),
      ),
    )
    console.log(JSON.stringify(printed))`
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: path.resolve(import.meta.dirname, "../.."),
    stdio: ["pipe", "pipe", "inherit"],
  })
  child.stdin.end(input)
  let out = ""
  for await (const block of child.stdout) out += String(block)
  return JSON.parse(out)
}

let files = 0

/** Imports contents under a name of its own, or the one given. */
const runOn = async (
  contents: string | Uint8Array,
  options: Partial<ImportOptions> = {},
  name = "events",
): Promise<Outcome> => {
  const folder = path.join(directory, String(files++))
  await mkdir(folder)
  const file = path.join(folder, name)
  await writeFile(file, contents)
  return run(file, options)
}

const reasons = (outcome: Outcome): ReadonlyArray<readonly [number, string]> =>
  outcome.rejected.map((row) => [row.line, row.rejection.reason] as const)

const line = (fields: object): string =>
  JSON.stringify({ event: "a", userId: "u1", timestamp: "2025-01-01", ...fields })

const CSV = "ts,user_id,event,plan\n2025-01-01T10:00:00Z,u1,click,pro\n2025-01-02T10:00:00Z,u2,view,\n"

describe("sources", () => {
  test.each([
    ["plain", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => zlib.gzipSync(bytes)],
    ["zstd", (bytes: Buffer) => zlib.zstdCompressSync(bytes)],
  ])("%s is recognised by content, whatever the file is called", async (_, compress) => {
    const outcome = await runOn(compress(Buffer.from(CSV)), {}, "events.txt")
    expect(outcome.error).toBeUndefined()
    expect(outcome.events.map((event) => event.name)).toEqual(["click", "view"])
  })

  test.each([
    ["gzip", zlib.gzipSync],
    ["zstd", zlib.zstdCompressSync],
  ])("all parts of concatenated %s files are read", async (_, compress) => {
    const many = Array.from({ length: 20_000 }, (__, i) => line({ id: `${i}`, noise: Math.sin(i) })).join("\n")
    for (const text of [line({}), many]) {
      const part = compress(Buffer.from(`${text}\n`))
      const once = await runOn(part)
      const twice = await runOn(Buffer.concat([part, part]))
      expect(twice.error).toBeUndefined()
      expect(twice.events.length).toBe(2 * once.events.length)
    }
  })

  test("an empty file and a header without rows hold no events", async () => {
    expect(await runOn("")).toMatchObject({ rows: [], error: undefined })
    expect(await runOn("\n \n")).toMatchObject({ rows: [], error: undefined })
    expect(await runOn("ts,user_id,event\n")).toMatchObject({ rows: [], error: undefined })
  })

  test("a byte order mark is not part of the first line", async () => {
    expect((await runOn(`\uFEFF${line({})}\n`)).events).toHaveLength(1)
    expect((await runOn(`\uFEFF${CSV}`)).events).toHaveLength(2)
  })

  test("bytes that are no UTF-8 become U+FFFD and stop nothing", async () => {
    const outcome = await runOn(
      Buffer.concat([
        Buffer.from("ts,user_id,event,x\n2025-01-01,u1,a,"),
        Buffer.from([0xff, 0xc3]),
        Buffer.from("\n"),
      ]),
    )
    expect(outcome.events[0]?.body).toEqual({ properties: { x: "\uFFFD\uFFFD" } })
  })

  test("characters that a block boundary cuts stay whole", async () => {
    const rows = Array.from({ length: 60_000 }, (_, i) => line({ userId: `ü€😀${i}` }))
    const outcome = await runOn(rows.join("\n"))
    expect(outcome.events.map((event) => event.userId)).toEqual(rows.map((_, i) => `ü€😀${i}`))
  })

  test("rows come in arrays of bounded length", async () => {
    const folder = await mkdtemp(path.join(directory, "many-"))
    await writeFile(path.join(folder, "f"), `ts,user_id,event\n${"1\n".repeat(20_000)}`)
    const sizes = await Effect.runPromise(
      importFile(path.join(folder, "f"), defaults).pipe(
        Stream.map((rows) => rows.length),
        Stream.runCollect,
      ),
    )
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4096)
    expect(sizes.reduce((a, b) => a + b)).toBe(20_000)
  })

  test("- reads standard input", async () => {
    const printed = await runInChild("-", zlib.gzipSync(CSV))
    expect(printed).toEqual({ names: ["click", "view"] })
  })

  test("a file that does not exist, or lies under a file, is not found", async () => {
    const missing = await run(path.join(directory, "missing.csv"))
    expect(missing.error?._tag).toBe("FileNotFound")
    expect(missing.error?.message).toContain("there is no such file")
    const file = path.join(directory, "plain")
    await writeFile(file, "x")
    expect((await run(path.join(file, "below.csv"))).error?._tag).toBe("FileNotFound")
  })

  test("a directory is refused as one", async () => {
    const { error } = await run(directory)
    expect(error?._tag).toBe("FileIsDirectory")
    expect(error?.message).toContain("it is a directory")
  })

  test("a file without permission is refused as such", async () => {
    const file = path.join(directory, "secret")
    await writeFile(file, CSV)
    await chmod(file, 0)
    expect(await runInChild(file)).toEqual({ error: "FileNotPermitted" })
  })

  test.each([
    ["gzip", zlib.gzipSync],
    ["zstd", zlib.zstdCompressSync],
  ])("of %s data that is cut, what came before counts, then the error comes", async (compression, compress) => {
    const lines = Array.from({ length: 50_000 }, (_, i) => line({ id: `e${i}`, noise: Math.sin(i) }))
    const whole = compress(Buffer.from(`${lines.join("\n")}\n`))
    const outcome = await runOn(whole.subarray(0, Math.floor(whole.length / 2)))
    expect(outcome.error).toMatchObject({ _tag: "CompressedDataDamaged", compression })
    expect(outcome.error?.message).toContain("cut short or damaged (unexpected end of file)")
    expect(outcome.events.length).toBeGreaterThan(15_000)
    expect(outcome.rejected).toEqual([])
    expect(outcome.events.map((event) => event.id)).toEqual(outcome.events.map((_, i) => `e${i}`))
  })

  test("gzip and zstd data that is garbage is refused", async () => {
    const gzip = Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.from("this was never compressed")])
    expect((await runOn(gzip)).error?._tag).toBe("CompressedDataDamaged")
    const zstd = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.from("this was never compressed")])
    expect((await runOn(zstd)).error?._tag).toBe("CompressedDataDamaged")
  })

  test("garbage after a compressed part is refused, after what came before", async () => {
    const outcome = await runOn(Buffer.concat([zlib.zstdCompressSync(`${line({})}\n`), Buffer.from("garbage")]))
    expect(outcome.events).toHaveLength(1)
    expect(outcome.error?._tag).toBe("CompressedDataDamaged")
  })
})

describe("formats", () => {
  test("a brace means NDJSON, of Tidemark's or Segment's shape", async () => {
    const segment = {
      type: "page",
      name: "Home",
      messageId: "m1",
      anonymousId: "d",
      timestamp: "2025-01-01",
    }
    const outcome = await runOn(`\n${line({ id: "t1" })}\n${JSON.stringify(segment)}\n`)
    expect(outcome.events.map(({ id, name }) => [id, name])).toEqual([
      ["t1", "a"],
      ["m1", "page_view"],
    ])
  })

  test("a file of JSON arrays, or other JSON, is NDJSON whose lines are turned away", async () => {
    expect(reasons(await runOn(`[${line({})}]\n${line({})}\n`))).toEqual([[1, "not-an-object"]])
    expect(reasons(await runOn("12\n"))).toEqual([[1, "not-an-object"]])
  })

  test.each([",", ";", "\t"])("the delimiter %j is found in the header", async (delimiter) => {
    const outcome = await runOn(CSV.replaceAll(",", delimiter))
    expect(outcome.events[0]).toMatchObject({
      name: "click",
      body: { properties: { plan: "pro" } },
    })
  })

  test("a single column is CSV if its name is known", async () => {
    const outcome = await runOn("ts\n2025-01-01\n", { eventName: "visit" })
    expect(outcome.events).toMatchObject([{ name: "visit", userId: null }])
    expect((await runOn("when\n2025-01-01\n", { eventName: "visit", map: { time: "when" } })).events).toHaveLength(1)
  })

  test("a text, or no text at all, is no format", async () => {
    const prose = await runOn("Dear reader\nhow are you\n")
    expect(prose.error?._tag).toBe("FormatUnknown")
    expect(prose.error?.message).toContain("--format")
    expect((await runOn(Buffer.from("PK\u0003\u0004\0\0,\n"))).error?._tag).toBe("FormatUnknown")
    expect((await runOn(Buffer.from(CSV, "utf16le"))).error?._tag).toBe("FormatUnknown")
  })

  test("a format that is given is not guessed", async () => {
    expect(reasons(await runOn(CSV, { format: "tidemark" }))).toEqual([
      [1, "not-json"],
      [2, "not-json"],
      [3, "not-json"],
    ])
    expect((await runOn("{},ts\nclick,2025-01-01\n", { format: "csv", map: { event: "{}" } })).events).toHaveLength(1)
  })
})

describe("NDJSON", () => {
  test("blank lines are skipped but numbered; a line that is not JSON does not stop the rest", async () => {
    const outcome = await runOn(`${line({})}\n\n  \r\nnonsense of ann@example.org\n${line({})}\r\n`)
    expect(outcome.events).toHaveLength(2)
    expect(reasons(outcome)).toEqual([[4, "not-json"]])
    expect(outcome.rejected[0]).toMatchObject({ raw: "nonsense of ann@example.org" })
    expect(outcome.rejected[0]?.rejection.detail).not.toContain("ann")
  })

  test("a complaint says where, and quotes nothing", async () => {
    const outcome = await runOn(`{"secret": "hunter2"\n{"secret" "hunter2"}\n`)
    expect(outcome.rejected.map((row) => row.rejection.detail).join()).not.toMatch(/secret|hunter/)
    expect(outcome.rejected[1]?.rejection.detail).toBe("The line is not JSON: it stops being so at column 11.")
  })

  test("a last line without a line feed counts if it is whole, else it is incomplete", async () => {
    expect((await runOn(`${line({})}\n${line({})}`)).events).toHaveLength(2)
    const cut = await runOn(`${line({})}\n${line({}).slice(0, 20)}`)
    expect(cut.events).toHaveLength(1)
    expect(reasons(cut)).toEqual([[2, "line-incomplete"]])
  })

  test("what admission turns away is rejected with its line and reason", async () => {
    const outcome = await runOn(
      [
        line({ event: undefined }),
        line({ event: "" }),
        line({ timestamp: undefined }),
        line({ timestamp: "yesterday" }),
        line({ timestamp: -1 }),
        line({ timestamp: "1969-12-31T23:59:59Z" }),
        line({ timestamp: "2100-01-01T00:00:00Z" }),
        line({ timestamp: "2025-01-01T00:00:00+99:00" }),
        line({ type: "nonsense" }),
        line({ type: "alias" }),
      ].join("\n"),
    )
    expect(outcome.events).toEqual([])
    expect(reasons(outcome)).toEqual([
      [1, "name-missing"],
      [2, "name-missing"],
      [3, "time-missing"],
      [4, "time-unreadable"],
      [5, "time-before-1970"],
      [6, "time-before-1970"],
      [7, "time-in-future"],
      [8, "time-unreadable"],
      [9, "kind-unknown"],
      [10, "alias-incomplete"],
    ])
  })

  test("odd but possible lines are accepted", async () => {
    const outcome = await runOn(
      [
        line({ userId: undefined }),
        line({ userId: "" }),
        line({ timestamp: 0 }),
        line({ timestamp: "2025-06-01T12:00:00+05:45" }),
        line({ timestamp: "2025-06-01 12:00" }),
        line({ properties: [1, 2] }),
      ].join("\n"),
      { zone: TimeZone.of("Asia/Kathmandu")! },
    )
    expect(outcome.rejected).toEqual([])
    const [personless, refused, epoch, offset, local, odd] = outcome.events
    expect(personless).toMatchObject({ userId: null, anonymousId: null, warnings: [] })
    expect(refused).toMatchObject({ userId: null, warnings: ["user-id-refused"] })
    expect(epoch?.time).toBe(0)
    expect(offset?.time).toBe(Date.parse("2025-06-01T06:15:00Z"))
    expect(local?.time).toBe(offset?.time)
    expect(odd).toMatchObject({
      warnings: ["properties-not-an-object"],
      body: { properties: [1, 2] },
    })
  })

  test("an event of 2 MB is too large, the first 64 KiB of it are kept, and the next line counts", async () => {
    const big = line({ properties: { text: "é".repeat(1024 * 1024) } })
    for (const end of [`\n${line({ event: "after" })}\n`, ""]) {
      const outcome = await runOn(`${line({})}\n${big}${end}`)
      expect(reasons(outcome)).toEqual([[2, "too-large"]])
      const raw = outcome.rejected[0]!.raw
      expect(big.startsWith(raw)).toBe(true)
      expect(Buffer.byteLength(raw)).toBeGreaterThan(RAW_LENGTH_MAX - 4)
      expect(Buffer.byteLength(raw)).toBeLessThanOrEqual(RAW_LENGTH_MAX)
      expect(outcome.events.map((event) => event.name)).toEqual(end === "" ? ["a"] : ["a", "after"])
    }
  })

  test("a line nested 150,000 levels deep goes to quarantine, and the next line counts", async () => {
    const deep = `{"event":"a","timestamp":"2025-01-01","properties":{"x":${"[".repeat(150_000)}${"]".repeat(150_000)}}}`
    const outcome = await runOn(`${deep}\n${line({ event: "after" })}\n`)
    expect(reasons(outcome)).toEqual([[1, "too-deep"]])
    expect(outcome.events.map((event) => event.name)).toEqual(["after"])
  })

  test("an event of just the largest size counts", async () => {
    const fill = EVENT_BYTES_MAX - Buffer.byteLength(line({ fill: "" }))
    expect((await runOn(`${line({ fill: "x".repeat(fill) })}\n`)).events).toHaveLength(1)
    expect(reasons(await runOn(`${line({ fill: "x".repeat(fill + 1) })}\n`))).toEqual([[1, "too-large"]])
  })

  test("a long line that is rejected is kept in part", async () => {
    const outcome = await runOn(`${line({ event: "", fill: "x".repeat(100_000) })}\n`)
    expect(outcome.rejected[0]).toMatchObject({
      rejection: { reason: "name-missing" },
      context: { truncated: true },
    })
    expect(outcome.rejected[0]?.raw).toHaveLength(RAW_LENGTH_MAX)
  })

  test("mapped fields, also by a dotted path, stand for the standard ones", async () => {
    const outcome = await runOn(
      `${JSON.stringify({ ts: "2025-01-01", timestamp: "nonsense", who: { uid: "u9" }, what: "tap", seq: 7, kept: 1 })}\n`,
      { map: { time: "ts", user: "who.uid", event: "what", id: "seq" } },
    )
    expect(outcome.events).toMatchObject([{ id: "7", userId: "u9", name: "tap", time: Date.parse("2025-01-01") }])
    expect(outcome.events[0]?.body).toEqual({ who: { uid: "u9" }, kept: 1 })
  })

  test("the standard field that a mapped one stands for is not fallen back to", async () => {
    const outcome = await runOn(
      [
        { ts: "2025-01-01", originalTimestamp: "2020-01-01", key: "k", messageId: "m" },
        { originalTimestamp: "2020-01-01", key: "k" },
      ]
        .map((fields) => JSON.stringify({ event: "a", ...fields }))
        .join("\n"),
      { map: { time: "ts", id: "key" } },
    )
    expect(outcome.events).toMatchObject([{ id: "k", time: Date.parse("2025-01-01") }])
    expect(reasons(outcome)).toEqual([[2, "time-missing"]])
  })

  test("--event names only events without a name", async () => {
    const outcome = await runOn(
      [line({ event: undefined }), line({}), line({ event: undefined, type: "page" })].join("\n"),
      { eventName: "visit" },
    )
    expect(outcome.events.map((event) => event.name)).toEqual(["visit", "a", "page_view"])
    const alias = await runOn(JSON.stringify({ old: "u1", userId: "u2" }), {
      eventName: "alias",
      map: { previous: "old" },
    })
    expect(alias.events).toMatchObject([{ kind: "alias", userId: "u2", body: { previousId: "u1" } }])
  })

  test("hostile keys stay data", async () => {
    const outcome = await runOn(
      `{"event":"a","timestamp":"2025-01-01","properties":{"__proto__":1},"__proto__":{"x":1}}\n`,
    )
    expect(JSON.stringify(outcome.events[0]?.body)).toBe(`{"properties":{"__proto__":1},"__proto__":{"x":1}}`)
  })
})

describe("CSV", () => {
  test("columns are found by name; the others become properties", async () => {
    const outcome = await runOn(
      "Event_ID,TS,USER_ID,device_id,event,session_id,plan,seats,price,code,trial,paid\n" +
        "7,2025-01-01T10:00:00Z,u1,d1,click,s1,pro,3,1.50,007,true,False\n" +
        "8,2025-01-01T10:00:00Z,,,click,,,-2.5,1e3,-0,false,\n",
    )
    expect(outcome.events).toMatchObject([
      { id: "7", userId: "u1", anonymousId: "d1", sessionId: "s1", kind: "track", name: "click" },
      { id: "8", userId: null, anonymousId: null, sessionId: null, warnings: [] },
    ])
    expect(outcome.events.map((event) => event.body)).toEqual([
      {
        properties: {
          plan: "pro",
          seats: 3,
          price: "1.50",
          code: "007",
          trial: true,
          paid: "False",
        },
      },
      { properties: { seats: -2.5, price: "1e3", code: "-0", trial: false } },
    ])
  })

  test("of several fitting columns the first of the documented order is taken", async () => {
    const outcome = await runOn("created_at,timestamp,name,event,user,user_id\n1,2025-01-01,N,E,x,u\n")
    expect(outcome.events).toMatchObject([{ name: "E", userId: "u", time: Date.parse("2025-01-01") }])
    expect(outcome.events[0]?.body).toEqual({
      properties: { created_at: 1, name: "N", user: "x" },
    })
  })

  test("the column name is the event's only where --event does not say it", async () => {
    const contents = "ts,name\n2025-01-01,Ann\n"
    expect((await runOn(contents)).events[0]?.name).toBe("Ann")
    const named = (await runOn(contents, { eventName: "visit" })).events[0]
    expect(named).toMatchObject({ name: "visit", body: { properties: { name: "Ann" } } })
  })

  test("a map wins over names, and takes its columns away from them", async () => {
    const outcome = await runOn("ts,when,user_id,what\n1999-01-01,2025-01-01,d7,tap\n", {
      map: { time: "when", anonymous: "user_id", event: "WHAT" },
    })
    expect(outcome.events).toMatchObject([
      { name: "tap", userId: null, anonymousId: "d7", time: Date.parse("2025-01-01") },
    ])
    expect(outcome.events[0]?.body).toEqual({ properties: { ts: "1999-01-01" } })
  })

  test("quoted fields hold delimiters, quotes and line breaks; lines are counted as they stand", async () => {
    const outcome = await runOn(
      'ts,event,text\r\n2025-01-01,a,"one, ""two""\r\nthree"\r\n\r\n2025-01-01,,x\r\n"2025-01-01","b",5" disk\r\n',
    )
    expect(outcome.events.map((event) => event.body)).toEqual([
      { properties: { text: 'one, "two"\r\nthree' } },
      { properties: { text: '5" disk' } },
    ])
    expect(reasons(outcome)).toEqual([[5, "name-missing"]])
  })

  test("a wrong number of fields is rejected with the record as it stood", async () => {
    const outcome = await runOn('ts,event,x\n2025-01-01,a\n2025-01-01,"a\nb",1,2\n2025-01-01,c,1\n')
    expect(outcome.rejected).toMatchObject([
      { line: 2, raw: "2025-01-01,a", rejection: { reason: "columns-mismatch" } },
      { line: 3, raw: '2025-01-01,"a\nb",1,2', rejection: { reason: "columns-mismatch" } },
    ])
    expect(outcome.rejected[1]?.rejection.detail).toBe("The record has 4 fields, and the header names 3 columns.")
    expect(outcome.events.map((event) => event.name)).toEqual(["c"])
  })

  test("a file that ends in the middle of a record is told", async () => {
    expect(reasons(await runOn('ts,event,x\n2025-01-01,a,1\n2025-01-01,b,"open\nstill\n'))).toEqual([
      [3, "line-incomplete"],
    ])
    expect(reasons(await runOn("ts,event,x\n2025-01-01,a,1\n2025-01-01,b"))).toEqual([[3, "line-incomplete"]])
    expect((await runOn("ts,event,x\n2025-01-01,a,1\n2025-01-01,b,2")).events).toHaveLength(2)
  })

  test("a record of 2 MB is too large, on one line or on many, and the next record counts", async () => {
    const line2MB = "x".repeat(2 * 1024 * 1024)
    const lines2MB = `${"x".repeat(99)}\n`.repeat(21_000)
    for (const text of [line2MB, `"${line2MB}"`, `"${lines2MB}"`, `"a\n${line2MB}\nb"`, `"""${line2MB}\n,b"`]) {
      const outcome = await runOn(`ts,event,x\n2025-01-01,a,${text}\n2025-01-01,b,1\n`)
      expect(reasons(outcome)).toEqual([[2, "too-large"]])
      expect(outcome.rejected[0]?.raw.startsWith(`2025-01-01,a,${text.slice(0, 2)}`)).toBe(true)
      expect(outcome.rejected[0]?.raw.length).toBeLessThanOrEqual(RAW_LENGTH_MAX)
      expect(outcome.events.map((event) => event.name)).toEqual(["b"])
    }
  })

  test("a record that is too large is not held", () => {
    const record = new CsvRecord(",")
    expect(record.feed('a,"b')).toBeUndefined()
    record.forget()
    expect(record.isOpen).toBe(true)
    expect(record.feed('c",d')).toEqual(["c", "d"])
  })

  test("times are judged as in JSON", async () => {
    const outcome = await runOn(
      ["ts,event", "0,a", "1735689600,a", ",a", "20250101,a", "-1735689600,a", "2100-01-01,a", "1969-12-31,a"].join(
        "\n",
      ),
    )
    expect(outcome.events.map((event) => event.time)).toEqual([0, 1_735_689_600_000])
    expect(reasons(outcome)).toEqual([
      [4, "time-missing"],
      [5, "time-unreadable"],
      [6, "time-before-1970"],
      [7, "time-in-future"],
      [8, "time-before-1970"],
    ])
  })

  test("identity calls are told by the event's name; page views stay tracked events", async () => {
    const outcome = await runOn(
      [
        "ts,event,user_id,device_id,previous_id,company",
        "2025-01-01,identify,u1,d1,,",
        "2025-01-01,alias,u1,,u0,",
        "2025-01-01,unalias,u1,,u0,",
        "2025-01-01,group,u1,,,c1",
        "2025-01-01,page_view,u1,,,",
      ].join("\n"),
      { map: { group: "company" } },
    )
    expect(outcome.events.map((event) => event.kind)).toEqual(["identify", "alias", "unalias", "group", "track"])
    expect(outcome.events[1]?.body).toMatchObject({ previousId: "u0" })
    expect(outcome.events[3]?.body).toMatchObject({ groupId: "c1" })
  })

  test("a kind column is taken at its word", async () => {
    const outcome = await runOn("ts,event,what\n2025-01-01,alias,track\n2025-01-01,,page\n2025-01-01,tap,\n", {
      map: { kind: "what" },
    })
    expect(outcome.events.map(({ kind, name }) => [kind, name])).toEqual([
      ["track", "alias"],
      ["page", "page_view"],
      ["track", "tap"],
    ])
  })

  test("an alias file needs no time", async () => {
    const outcome = await runOn("repo,old,new\ngit,u1,u2\n", {
      eventName: "alias",
      map: { previous: "old", user: "new" },
    })
    expect(outcome.events).toMatchObject([{ kind: "alias", userId: "u2", body: { previousId: "u1" } }])
    const byColumn = await runOn("event,previous_id,user_id\nalias,u1,u2\nclick,,u2\n")
    expect(byColumn.events).toHaveLength(1)
    expect(byColumn.error).toMatchObject({ _tag: "ColumnNeeded", key: "time" })
    expect((await runOn("old,new\nu1,u2\n", { eventName: "alias" })).error).toMatchObject({
      key: "previous",
    })
  })

  test("what a file can't do without is asked for", async () => {
    const nameless = await runOn("ts,user_id\n2025-01-01,u1\n")
    expect(nameless.error?._tag).toBe("ColumnNeeded")
    expect(nameless.error?.message).toContain("Pass --event NAME or --map event=COL.")
    expect(nameless.error?.message).toContain("ts, user_id")
    const timeless = await runOn("when,user_id,event\n2025-01-01,u1,a\n")
    expect(timeless.error?.message).toContain("Pass --map time=COL.")
  })

  test("mapped columns that don't exist are named, with the nearest and all that exist", async () => {
    const { error } = await runOn(CSV, { map: { time: "tss", user: "user-id", session: "xyzzy" } })
    expect(error?._tag).toBe("ColumnsNotFound")
    expect(error?.message).toContain(
      "time=tss (did you mean ts?), user=user-id (did you mean user_id?), session=xyzzy.",
    )
    expect(error?.message).toContain("Its columns are: ts, user_id, event, plan.")
  })

  test("a header that names a column twice, or never ends, is refused", async () => {
    const twice = await runOn("ts,event,x,x\n2025-01-01,a,1,2\n")
    expect(twice.error).toMatchObject({ _tag: "ColumnsDuplicated", duplicated: ["x"] })
    expect((await runOn('ts,event,"x\n2025-01-01,a,1\n')).error?._tag).toBe("HeaderUnreadable")
    expect((await runOn(`ts,event,${"x".repeat(EVENT_BYTES_MAX)}\n`)).error?._tag).toBe("HeaderUnreadable")
  })

  test("a column called __proto__ is a property like any other", async () => {
    const outcome = await runOn("ts,event,__proto__\n2025-01-01,a,5\n")
    expect(JSON.stringify(outcome.events[0]?.body)).toBe(`{"properties":{"__proto__":5}}`)
  })

  test("any well-formed CSV, cut into blocks anywhere, reads as csv-parse reads it (500 runs)", () => {
    const field = fc.string({
      unit: fc.constantFrom("a", "7", " ", ",", ";", '"', "\n", "\r\n", "é", "😀"),
      maxLength: 8,
    })
    const quote = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
    fc.assert(
      fc.property(
        fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 8 }),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        fc.integer({ min: 1, max: 12 }),
        (records, lineEnd, alwaysQuote, blockBytes) => {
          const text = records
            .map((fields) => fields.map((text) => (alwaysQuote ? `"${text.replaceAll('"', '""')}"` : quote(text))))
            .map((fields) => fields.join(",") + lineEnd)
            .join("")
          const reader = new CsvRecord(",")
          const found: Array<ReadonlyArray<string>> = []
          const splitter = new LineSplitter({
            line: (line) => {
              const fields = reader.feed(line)
              if (fields !== undefined) found.push(fields)
            },
            longLine: () => expect.unreachable(),
          })
          const bytes = Buffer.from(text)
          for (let at = 0; at < bytes.length; at += blockBytes) splitter.push(bytes.subarray(at, at + blockBytes))
          splitter.finish()
          expect(found).toEqual(parseCsv(text, { record_delimiter: lineEnd, relax_column_count: true }))
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe("event ids", () => {
  test("a file imported twice, compressed or not, gives the same ids, and equal lines of it two", async () => {
    for (const contents of [`${line({})}\n${line({})}\n`, "ts,event\n2025-01-01,a\n2025-01-01,a\n"]) {
      const ids = (outcome: Outcome): ReadonlyArray<string> => outcome.events.map((event) => event.id)
      const first = ids(await runOn(contents, {}, "log.txt"))
      expect(first[0]).toMatch(/^[0-9a-f]{32}$/)
      expect(new Set(first).size).toBe(2)
      expect(ids(await runOn(contents, {}, "log.txt"))).toEqual(first)
      expect(ids(await runOn(zlib.gzipSync(contents), {}, "log.txt.gz"))).toEqual(first)
      expect(ids(await runOn(contents, {}, "other.txt"))).not.toEqual(first)
    }
  })

  test("a file that has grown keeps the ids of its old lines", async () => {
    const short = await runOn(line({}), {}, "log")
    const long = await runOn(`${line({})}\n${line({})}\n`, {}, "log")
    expect(long.events[0]?.id).toBe(short.events[0]?.id)
  })

  test("ids of two files that differ only in their first record differ throughout", async () => {
    const one = await runOn(`${line({ x: 1 })}\n${line({})}\n`, {}, "log")
    const two = await runOn(`${line({ x: 2 })}\n${line({})}\n`, {}, "log")
    expect(one.events[1]?.id).not.toBe(two.events[1]?.id)
  })
})

describe("reading a quarantined line again", () => {
  const stored = (context: LineContext): LineContext => JSON.parse(JSON.stringify(context)) as LineContext

  test("gives the same rejection while nothing has changed", async () => {
    const outcomes = [
      await runOn(`${line({})}\nnonsense\n[1]\n${line({ timestamp: "x" })}\n`),
      await runOn('ts,event,x\n2025-01-01,a,1\n2025-01-01,a\n2025-01-01,"",1\n2025-01-01,"x\ny\n'),
    ]
    for (const row of outcomes.flatMap((outcome) => outcome.rejected)) {
      expect(importLine(row.raw, stored(row.context), NOW)).toEqual(Result.succeed(row))
    }
  })

  test("gives the event that the line would have been, when the reason is gone", async () => {
    const later = NOW + 10 * 365 * 86_400_000
    for (const contents of [
      `${line({})}\n${line({ timestamp: "2030-01-01" })}\n`,
      'ts,event,x\n2025-01-01,a,1\n2030-01-01,b,"two\nlines"\n',
    ]) {
      const early = await runOn(contents, {}, "log")
      const [row] = early.rejected
      expect(row?.rejection.reason).toBe("time-in-future")
      const late = await runOn(contents, { now: later }, "log")
      const replayed = importLine(row!.raw, stored(row!.context), later)
      expect(replayed).toEqual(Result.succeed({ _tag: "Accepted", event: late.events[1] }))
    }
  })

  test("works with a corrected context", async () => {
    const { rejected } = await runOn("ts,when,event\nnever,2025-01-01,a\n")
    const row = rejected[0]!
    const replayed = importLine(row.raw, { ...row.context, map: { time: "when" } }, NOW)
    expect(Result.getOrThrow(replayed)._tag).toBe("Accepted")
    const wrong = importLine(row.raw, { ...row.context, map: { time: "whem" } }, NOW)
    expect(Result.isFailure(wrong) && wrong.failure._tag).toBe("ColumnsNotFound")
    const nowhere = importLine(row.raw, { ...row.context, zone: "Mars/Olympus" }, NOW)
    expect(Result.isFailure(nowhere) && nowhere.failure._tag).toBe("ContextZoneUnknown")
  })

  test("is refused where only a part of the line was kept", async () => {
    const { rejected } = await runOn(`${line({ fill: "x".repeat(EVENT_BYTES_MAX) })}\n`)
    const row = rejected[0]!
    const replayed = Result.getOrThrow(importLine(row.raw, stored(row.context), NOW))
    expect(replayed).toMatchObject({ _tag: "Rejected", rejection: { reason: "too-large" } })
  })
})

describe("--map", () => {
  test("is read from pairs", () => {
    expect(parseColumnMap("time=ts, user=uid,previousId=old,event=a=b")).toEqual(
      Result.succeed({ time: "ts", user: "uid", previous: "old", event: "a=b" }),
    )
    expect(parseColumnMap("")).toEqual(Result.succeed({}))
  })

  test.each([
    ["time", "a pair is not of the form KEY=COLUMN"],
    ["time=", "a pair is not of the form KEY=COLUMN"],
    ["tme=ts", "no such key (did you mean time?)"],
    ["previous=a,previousId=b", "previous is given twice"],
  ])("refuses %s", (text, problem) => {
    const parsed = parseColumnMap(text)
    expect(Result.isFailure(parsed) && parsed.failure.message).toContain(problem)
  })
})

describe("real files", () => {
  const data = path.resolve(import.meta.dirname, "../../../shared/data")
  const present = existsSync(data)
  if (!present) console.log(`Skipped: imports of real files, since ${data} is absent.`)

  test.skipIf(!present)(
    "git-contributors: every row is accepted, and its alias file as merges",
    { timeout: 60_000 },
    async () => {
      let count = 0
      const users = new Set<string | null>()
      await Effect.runPromise(
        importFile(path.join(data, "git-contributors/events.csv.gz"), {
          ...defaults,
          now: Date.parse("2026-11-01"),
        }).pipe(
          Stream.runForEach((rows) =>
            Effect.sync(() => {
              for (const row of rows) {
                if (row._tag === "Rejected") throw new Error(row.rejection.detail)
                users.add(row.event.userId)
                count++
              }
            }),
          ),
        ),
      )
      expect([count, users.size]).toEqual([1_342_716, 8_645])
      const aliases = await run(path.join(data, "git-contributors/aliases.csv.gz"), {
        eventName: "alias",
        map: { previous: "alias_user_id", user: "canonical_user_id" },
      })
      expect([aliases.events.length, aliases.rejected.length, aliases.error]).toEqual([360, 0, undefined])
    },
  )

  test.skipIf(!present)("otto-mini: JSON lines that are no events are rejected one by one", async () => {
    const file = path.join(data, "otto-mini/sessions.jsonl")
    const lines = (await readFile(file, "utf8")).trimEnd().split("\n").length
    const outcome = await run(file)
    expect(new Set(outcome.rejected.map((row) => row.rejection.reason))).toEqual(new Set(["name-missing"]))
    expect(outcome.rejected.length).toBe(lines)
  })
})
