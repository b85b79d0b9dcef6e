import { spawn } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import zlib from "node:zlib"
import { Effect, Stream } from "effect"
import { afterAll, describe, expect, test } from "vitest"
import { importFile } from "../../../src/app/import/importFile.ts"
import { CSV, defaults, line, NOW, run, runOn } from "./fixtures.ts"

/** Where lines come from: files, compressed or not, and standard input; and what is refused as a source. */

const directory = mkdtempSync(path.join(tmpdir(), "tidemark-sources-"))

afterAll(() => rm(directory, { recursive: true }))

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
    cwd: path.resolve(import.meta.dirname, "../../.."),
    stdio: ["pipe", "pipe", "inherit"],
  })
  child.stdin.end(input)
  let out = ""
  for await (const block of child.stdout) out += String(block)
  return JSON.parse(out)
}

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
