import { execFileSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { PGlite } from "@electric-sql/pglite"
import { afterAll, beforeAll, describe, expect, test, type TestContext } from "vitest"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { SCHEMA_VERSION } from "../../src/infra/sql/migrations.ts"
import { emptyStore, ok, okJson, refusal, refused, scratch, tidemark } from "../support/cli.ts"

/** Stores that can't be opened or written: a sentence each, and nothing acknowledged lost. */

const here = scratch()
/** Where what matters is what a process holds, of the store or of the disk, each command is one. */
const fresh = { fresh: true }
/** A store with one event. */
let store = ""

beforeAll(async () => {
  store = await here.store("store")
  const file = here.write("one.ndjson", [{ id: "1", event: "one", userId: "ada", timestamp: "2026-01-01T10:00:00Z" }])
  await ok(["import", file, "--dir", store])
})

afterAll(() => here.remove())

/** Mounts, or skips with a line: only root may, and not in every container. */
const mount = (context: TestContext, ...args: ReadonlyArray<string>): void => {
  try {
    execFileSync("mount", args, { stdio: "pipe" })
  } catch {
    console.log(`skipped: can't mount here (mount ${args.join(" ")})`)
    context.skip()
  }
}

const unmount = (directory: string) => execFileSync("umount", [directory])

test.each(["pause", "resume"])("%s is refused: an embedded store has no workers", async (command) => {
  expect(await refused(2, [command, "--dir", store])).toMatch(
    new RegExp(`^There are no workers to ${command} on an embedded store .* Nothing was changed\\.$`),
  )
})

test("rewind empties nothing until it is told where to begin", async () => {
  expect(await refused(2, ["rewind", "--dir", store])).toMatch(/^Say where to begin: --to start\. That empties /)
  expect(await ok(["rewind", "--to", "start", "--dir", store])).toBe(
    "The read model was made anew from the beginning of the log.\n",
  )
})

test("rebuild --wipe passes over nothing that it was told", async () => {
  for (const other of ["--plan", "--no-promote", "--accept", "active_users"]) {
    expect(await refused(2, ["rebuild", other, "--wipe", "--dir", store])).toMatch(
      /^Nothing was done: "rebuild --wipe" /,
    )
  }
})

describe("the directory", () => {
  test("below a file", async () => {
    const file = here.write("file", "")
    expect(await refused(3, ["import", "-", "--json", "--dir", `${file}/store`])).toMatch(
      /The store .*file\/store can't be opened: a part of the path is a file, not a directory\./,
    )
  })

  test("where nobody may write", async (context) => {
    if (!existsSync("/proc/self")) {
      console.log("skipped: there is no /proc")
      context.skip()
    }
    expect(await refused(3, ["import", "-", "--json", "--dir", "/proc/tidemark"])).toMatch(
      /^The store \/proc\/tidemark can't be opened: /,
    )
  })

  test("on a disk that is read-only", async (context) => {
    const directory = here.path("read-only")
    mkdirSync(directory)
    mount(context, "--bind", store, directory)
    try {
      execFileSync("mount", ["-o", "remount,ro,bind", directory])
      expect(await refused(3, ["query", "events", "--json", "--dir", directory], fresh)).toMatch(
        /read-only can't be opened: .*read-?only/,
      )
    } finally {
      unmount(directory)
    }
  })

  test("where there is no store: a question makes none", async () => {
    const directory = here.path("typo")
    expect(await refused(3, ["query", "events", "--json", "--dir", directory])).toBe(
      `There is no store in ${directory}. "tidemark import FILE" makes one, or name another with --dir.`,
    )
    expect(existsSync(directory)).toBe(false)
  })

  test("in use by another process", async () => {
    const other = tidemark(["import", "-", "--dir", store], {
      onStart: async (child) => {
        // It holds the store as long as it waits for its input.
        while (readFileSync(`${store}/lock.pid`, "utf8") !== String(child.pid)) await sleep(20)
        const answer = await refused(3, ["query", "events", "--json", "--dir", store], fresh)
        expect(answer).toMatch(
          new RegExp(`^The store ${store} is in use by process ${child.pid}\\. One process at a time`),
        )
        child.stdin!.end()
      },
    })
    expect((await other).code).toBe(0)
    expect((await okJson(["query", "events", "--dir", store])).totals).toEqual([{ event: "one", events: 1, users: 1 }])
  })
})

describe("made by a newer version", () => {
  test("the log", async () => {
    const newer = here.copy(store, "newer-log")
    const database = new DatabaseSync(`${newer}/log.db`)
    database.exec("UPDATE meta SET value = '2' WHERE key = 'format'")
    database.close()
    expect(await refused(3, ["status", "--json", "--dir", newer])).toMatch(
      /has format 2; this version of Tidemark knows up to format 1\. Upgrade Tidemark/,
    )
  })

  test("the read model's schema", async () => {
    const newer = here.copy(store, "newer-schema")
    const database = await PGlite.create(`${newer}/postgres`)
    await database.exec("INSERT INTO tidemark.migrations (migration_id, name) VALUES (99, 'later')")
    await database.close()
    expect(await refused(3, ["status", "--json", "--dir", newer])).toContain(
      `its schema has version 99 and this version of Tidemark knows up to ${SCHEMA_VERSION}; upgrade Tidemark`,
    )
  })
})

describe("damage", () => {
  test("a flipped bit in the log is named, by whoever reads it", async () => {
    const damaged = here.copy(store, "damaged")
    const database = new DatabaseSync(`${damaged}/log.db`)
    const { zstd } = database.prepare("SELECT zstd FROM records WHERE partition = 0").get() as { zstd: Uint8Array }
    zstd[zstd.length >> 1]! ^= 1
    database.prepare("UPDATE records SET zstd = ? WHERE partition = 0").run(zstd)
    database.close()
    expect(await refused(4, ["rebuild", "--json", "--dir", damaged])).toMatch(/^The log is damaged at 0\/1: /)
    const doctor = await tidemark(["doctor", "--dir", damaged])
    // The refused rebuild has left the read model as it was, and what that stands on is damaged too.
    expect(refusal(doctor, 1)).toMatch(/2 of \d+ checks failed/)
    expect(doctor.stdout).toMatch(/^✗ log, partition 0: The log is damaged at 0\/1/m)
  })

  test("a read model that is gone comes back from the log", async () => {
    const bare = here.copy(store, "bare")
    rmSync(`${bare}/postgres`, { recursive: true })
    expect(await okJson(["project", "--dir", bare])).toMatchObject({ events: 1 })
    expect((await okJson(["verify", "--dir", bare])).differences).toEqual([])
  })
})

describe("a full disk", () => {
  const disk = here.path("disk")
  const events = [...simulate({ users: 900, days: 30, seed: 3 })]
  const [first, rest] = [events.slice(0, 500), events.slice(500)]
  const unique = new Set(events.map(({ id }) => id)).size

  /** Leaves so many bytes free. */
  const fill = (free: number): void => {
    const { bavail, bsize } = statfsSync(disk)
    const file = openSync(`${disk}/filler`, "a")
    const block = Buffer.alloc(64 * 1024)
    for (let left = bavail * bsize - free; left > 0; left -= block.length) {
      try {
        writeSync(file, block, 0, Math.min(left, block.length))
      } catch {
        break
      }
    }
    closeSync(file)
  }

  const numbers = async (directory: string) => {
    const status = await okJson(["status", "--dir", directory], fresh)
    const { accepted, projected, duplicates, lag } = status.partitions[0]
    return { accepted, projected, duplicates, lag }
  }

  test("says so, loses nothing that was acknowledged, and goes on when there is room", async (context) => {
    mkdirSync(disk)
    mount(context, "-t", "tmpfs", "-o", "size=150m", "tmpfs", disk)
    try {
      const directory = `${disk}/store`
      execFileSync("cp", ["-r", await emptyStore(), directory])
      const before = here.write("first.ndjson", first)
      const after = here.write("rest.ndjson", rest)
      const { accepted } = await okJson(["import", before, "--no-project", "--dir", directory], fresh)
      expect(accepted).toBe(500)

      // No room to append: the log refuses, and says what it could not do.
      fill(300 * 1024)
      const append = await tidemark(["import", after, "--no-project", "--json", "--dir", directory], fresh)
      expect(append.code).toBeOneOf([1, 3])
      expect(refusal(append, append.code!)).toMatch(/no space left on the disk/)

      // Room to append, none to project.
      rmSync(`${disk}/filler`)
      expect(await numbers(directory)).toEqual({ accepted: 500, projected: 0, duplicates: 0, lag: 500 })
      await ok(["import", after, "--no-project", "--dir", directory], fresh)
      fill(1024 * 1024)
      const project = await tidemark(["project", "--json", "--dir", directory])
      expect(project.code).toBeOneOf([1, 3])
      expect(refusal(project, project.code!)).toMatch(/no space left on the disk/)

      rmSync(`${disk}/filler`)
      expect(await okJson(["project", "--dir", directory])).toMatchObject({ events: events.length })
      expect(await numbers(directory)).toEqual({
        accepted: events.length,
        projected: unique,
        duplicates: events.length - unique,
        lag: 0,
      })
      expect((await okJson(["verify", "--dir", directory], fresh)).differences).toEqual([])
    } finally {
      unmount(disk)
    }
  })

  test("from the start: nothing is made, and it says so", async (context) => {
    mkdirSync(here.path("tiny"))
    mount(context, "-t", "tmpfs", "-o", "size=1m", "tmpfs", here.path("tiny"))
    try {
      const directory = here.path("tiny", "store")
      expect(await refused(3, ["import", here.path("one.ndjson"), "--json", "--dir", directory], fresh)).toMatch(
        /no space left on the disk/,
      )
    } finally {
      unmount(here.path("tiny"))
    }
  })
})

test("a first start that was killed leaves nothing in the way", async () => {
  const half = here.path("half")
  mkdirSync(`${half}/postgres-new-killed/base`, { recursive: true })
  expect(await okJson(["import", here.path("one.ndjson"), "--dir", half], fresh)).toMatchObject({ accepted: 1 })
  expect(readdirSync(half).toSorted()).toEqual(["lock.db", "lock.pid", "log.db", "postgres"])
})

test("a log in the place of the one that the numbers are of takes no events", async () => {
  const replaced = here.copy(store, "replaced")
  for (const file of readdirSync(replaced)) if (file.startsWith("log.db")) rmSync(`${replaced}/${file}`)
  expect(await refused(4, ["import", here.path("one.ndjson"), "--dir", replaced], fresh)).toMatch(
    /^The read model stands at 0\/1 .+, but the log has incarnation .+ there: it was restored or replaced\./,
  )
  const log = new DatabaseSync(`${replaced}/log.db`)
  expect(log.prepare("SELECT count(*) AS records FROM records").get()).toEqual({ records: 0 })
  log.close()
})
