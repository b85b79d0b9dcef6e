import { mkdirSync } from "node:fs"
import { gzipSync, zstdCompressSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { ok, okJson, refusal, refused, scratch, tidemark } from "../support/cli.ts"

/** All that `import` reads, and what becomes of lines that it turns away, through the program. */

const here = scratch()
let store = ""
const at = (...args: ReadonlyArray<string>) => [...args, "--dir", store]

const event = (id: string, name: string, timestamp: string, more: object = {}) => ({
  id,
  event: name,
  userId: "ada",
  timestamp,
  ...more,
})

beforeAll(async () => {
  mkdirSync(here.path("project"))
  // Where a project's own store is when nothing says otherwise.
  store = await here.store("project/.tidemark")
})

afterAll(() => here.remove())

describe("formats", () => {
  test("CSV whose columns have names of their own, in local time of a zone", async () => {
    const file = here.write(
      "visits.csv",
      'when;client;note\n2026-01-05 23:30:00;ada;"a; b"\n2026-01-06 00:30:00;bob;\n2026-01-06 00:30:00;bob;\n',
    )
    const how = ["--map", "time=when,user=client", "--event", "visit", "--time-zone", "America/New_York"]
    // Equal lines of one file are two events.
    expect(await okJson(at("import", file, ...how))).toMatchObject({ read: 3, accepted: 3, duplicates: 0, rejected: 0 })
  })

  test("gzip and zstd, several files at once, without a progress bar where nobody sees it", async () => {
    const first = here.write("a.ndjson.gz", gzipSync(`${JSON.stringify(event("g1", "zipped", "2026-01-07"))}\n`))
    const second = here.write("b.zst", zstdCompressSync(`${JSON.stringify(event("z1", "zipped", "2026-01-08"))}\n`))
    const report = await ok(at("import", first, second))
    expect(report).toMatch(/^read +2$/m)
    expect(report).toMatch(/^accepted +2$/m)
    expect(report).not.toContain("\r")
  })

  test("standard input, into the store that TIDEMARK_DIR names", async () => {
    const stdin = `${JSON.stringify(event("s1", "piped", "2026-01-09"))}\n`
    const report = await ok(["import", "-"], { stdin, env: { TIDEMARK_DIR: store } })
    expect(report).toMatch(/^accepted +1$/m)
  })

  test("the Segment shape, into the project's own store", async () => {
    const line = {
      messageId: "m1",
      type: "track",
      event: "sent",
      userId: "ada",
      originalTimestamp: "2026-01-10T10:00:00Z",
    }
    const file = here.write("segment.json", [line])
    const report = await ok(["import", file, "--format", "segment"], { cwd: here.path("project") })
    expect(report).toMatch(/^accepted +1$/m)
  })

  test("a file that is not there stops all, before anything is read", async () => {
    const good = here.write("good.ndjson", [event("k1", "kept", "2026-01-11")])
    const sentence = await refused(2, at("import", good, here.path("missing.ndjson"), "--json"))
    expect(sentence).toMatch(/missing\.ndjson: there is no such file\. Check the path/)
  })

  test("a file that can't be read stops no other, and is named", async () => {
    const torn = here.write("torn.ndjson.gz", gzipSync("\n".repeat(100_000)).subarray(0, 60))
    const ran = await tidemark(at("import", here.path("project"), torn, here.path("good.ndjson"), "--json"))
    const sentence = refusal(ran, 2)
    expect(sentence).toContain("project: it is a directory")
    expect(sentence).toMatch(/torn\.ndjson\.gz: its gzip data is cut short or damaged/)
    expect(JSON.parse(ran.stdout)).toMatchObject({
      accepted: 1,
      failures: [expect.any(String), expect.any(String)],
    })
  })

  test("an empty file, and one of blank lines only, have no events", async () => {
    const files = [here.write("empty.ndjson", ""), here.write("blank.ndjson", "\n  \n\n\t\n")]
    expect(await okJson(at("import", ...files))).toMatchObject({ read: 0, accepted: 0, rejected: 0, failures: [] })
  })

  test("everything is there, on its day", async () => {
    const { rows } = await okJson(at("query", "events"))
    expect(rows.map((it: any) => `${it.date} ${it.event} ${it.events} ${it.users}`)).toEqual([
      "2026-01-06 visit 3 2",
      "2026-01-07 zipped 1 1",
      "2026-01-08 zipped 1 1",
      "2026-01-09 piped 1 1",
      "2026-01-10 sent 1 1",
      "2026-01-11 kept 1 1",
    ])
  })
})

describe("quarantine", () => {
  const lines = [
    { event: "late_fix", userId: "eve", when: "2026-02-01T10:00:00Z" },
    { event: "late_fix", userId: "eve", when: "2026-02-02T10:00:00Z" },
    { userId: "eve", timestamp: "2026-02-03T10:00:00Z" },
    "{ secret: not json",
  ]

  test("what can't be an event is kept with its line and its reason, and stops nothing", async () => {
    const file = here.write("odd.ndjson", [...lines, event("o5", "fine", "2026-02-04T10:00:00Z")])
    const report = await ok(at("import", file))
    expect(report).toMatch(/^accepted +1$/m)
    expect(report).toMatch(/^rejected +4$/m)
    expect(report).toContain("tidemark quarantine list")
    expect(report).not.toContain("No line of")
  })

  test("list shows where and why, and nothing of the contents", async () => {
    const text = await ok(at("quarantine", "list", "--limit", "3"))
    expect(text).toMatch(/^ *1 .*odd\.ndjson +1 +time-missing +The event has no time/m)
    expect(text).toMatch(/^ *3 .*odd\.ndjson +3 +name-missing/m)
    expect(text).toContain("… and 1 more (--limit).")
    const listed = await okJson(at("quarantine", "list"))
    expect(listed.total).toBe(4)
    expect(listed.reasons).toEqual({ "name-missing": 1, "not-json": 1, "time-missing": 2 })
    expect(listed.lines.map(({ line }: { line: number }) => line)).toEqual([1, 2, 3, 4])
    expect(Object.keys(listed.lines[0])).toEqual(["id", "source", "line", "reason", "detail", "quarantinedAt"])
    expect(JSON.stringify(listed)).not.toMatch(/secret|eve"|late_fix/)
  })

  test("replay with what was missing accepts the lines, once", async () => {
    expect(await okJson(at("quarantine", "replay", "--map", "time=when"))).toEqual({ accepted: 2, rejected: 2 })
    expect(await ok(at("quarantine", "replay", "--event", "named"))).toBe("1 accepted now, 1 still in quarantine.\n")
    // The file again, rightly read this time: the events are those that were replayed.
    expect(await okJson(at("import", here.path("odd.ndjson"), "--map", "time=when"))).toMatchObject({
      accepted: 2,
      duplicates: 2,
    })
  })

  test("drop forgets one line, or all", async () => {
    const { lines: kept, total } = await okJson(at("quarantine", "list", "--raw"))
    expect(kept.map(({ raw }: { raw: string }) => raw)).toContain("{ secret: not json")
    expect(await okJson(at("quarantine", "drop", "--id", String(kept[0].id)))).toEqual({ dropped: 1 })
    expect(await ok(at("quarantine", "drop"))).toBe(`${total - 1} lines dropped from the quarantine.\n`)
    expect(await ok(at("quarantine", "list"))).toBe("The quarantine is empty.\n")
  })

  test("a file of which nothing could be taken is named, beside one that is fine", async () => {
    const odd = here.write("unmapped.ndjson", [{ event: "late_fix", userId: "eve", when: "2026-02-01T10:00:00Z" }])
    const fine = here.write("fine.ndjson", [event("o6", "fine", "2026-02-05T10:00:00Z")])
    const report = await ok(at("import", odd, fine))
    expect(report).toMatch(/^accepted +1$/m)
    expect(report.match(/^No line of .*$/gm)).toEqual([
      `No line of ${odd} could be taken: look at its format and at --map, which is for all files.`,
    ])
    await ok(at("quarantine", "drop"))
  })

  test("a map that can't be one is refused before anything is read", async () => {
    expect(await refused(2, at("quarantine", "replay", "--map", "tiem=when"))).toContain("did you mean time?")
  })
})
