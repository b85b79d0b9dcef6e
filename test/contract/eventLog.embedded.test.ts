import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { zstdCompressSync } from "node:zlib"
import { Effect } from "effect"
import { afterAll, describe, expect, test } from "vitest"
import { decodeBatch } from "../../src/domain/log/batch.ts"
import { openSqliteLog } from "../../src/infra/embedded/SqliteLog.ts"
import { lockStore } from "../../src/infra/embedded/StoreLock.ts"
import { chainOf, eventLogContract, failureOf, type LogHome, readAll } from "./eventLog.ts"

const made: Array<string> = []

const makeDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-log-"))
  made.push(directory)
  return directory
}

afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

const homeIn = (directory: string): LogHome => ({
  open: (options) =>
    Effect.map(openSqliteLog(directory, options), ({ log, database }) => ({
      log,
      remove: (partition, sequence) =>
        Effect.sync(() => {
          database.prepare("DELETE FROM records WHERE partition = ? AND sequence = ?").run(partition, sequence)
        }),
      damage: (partition, sequence, bytes) =>
        Effect.sync(() => {
          const update = database.prepare("UPDATE records SET zstd = ? WHERE partition = ? AND sequence = ?")
          update.run(zstdCompressSync(bytes), partition, sequence)
        }),
    })),
})

eventLogContract("the embedded log", async () => homeIn(makeDirectory()))

describe("the embedded log", () => {
  const inStore = <A, E>(
    directory: string,
    use: (store: Effect.Success<ReturnType<typeof openSqliteLog>>) => Effect.Effect<A, E>,
  ) => Effect.scoped(Effect.flatMap(openSqliteLog(directory, { partitions: 1 }), use))

  test("keeps the number of partitions that it was made with", async () => {
    const directory = makeDirectory()
    const partitionsOf = (partitions: number) =>
      Effect.runPromise(
        Effect.scoped(Effect.map(openSqliteLog(directory, { partitions }), ({ log }) => log.partitions)),
      )
    expect(await partitionsOf(4)).toBe(4)
    expect(await partitionsOf(1)).toBe(4)
  })

  test("syncs every append: write-ahead log, synchronous FULL", async () => {
    await Effect.runPromise(
      inStore(makeDirectory(), ({ database }) =>
        Effect.sync(() => {
          expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" })
          expect(database.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 2 })
        }),
      ),
    )
  })

  test("a full disk refuses the whole append, and the log goes on: reads at once, appends when there is room", async () => {
    await Effect.runPromise(
      inStore(makeDirectory(), ({ log, database }) =>
        Effect.gen(function* () {
          const batches = chainOf(6, { size: 200_000 })
          yield* log.append(batches.slice(0, 2))
          const { page_count: pages } = database.prepare("PRAGMA page_count").get() as { page_count: number }
          database.exec(`PRAGMA max_page_count = ${pages + 2}`)
          // The first of the two is small enough to fit; none of one call is stored all the same.
          const small = chainOf(1, { writer: "small" })
          const error = yield* Effect.flip(log.append([...small, ...batches.slice(2)]))
          expect(error).toMatchObject({ _tag: "LogUnavailable", reason: "no space left on the disk" })
          expect(error.message).toBe("Could not append to the log: no space left on the disk.")
          expect((yield* readAll(log)).map(({ position }) => position.batchId)).toEqual(["w.0.1", "w.0.2"])
          expect((yield* log.status)[0]).toMatchObject({ records: 2 })
          expect(yield* log.at(0, 3)).toBeNull()
          expect(yield* Effect.flip(log.append(batches.slice(2)))).toMatchObject({ _tag: "LogUnavailable" })
          database.exec("PRAGMA max_page_count = 1000000")
          expect((yield* log.append([...small, ...batches.slice(2)])).map(({ sequence }) => sequence)).toEqual([
            3, 4, 5, 6, 7,
          ])
          expect((yield* readAll(log)).length).toBe(7)
        }),
      ),
    )
  })

  test("bytes on the disk that are not what was written are reported, never other events", async () => {
    await Effect.runPromise(
      inStore(makeDirectory(), ({ log, database }) =>
        Effect.gen(function* () {
          yield* log.append(chainOf(2))
          const { zstd } = database.prepare("SELECT zstd FROM records WHERE sequence = 1").get() as { zstd: Uint8Array }
          const update = database.prepare("UPDATE records SET zstd = ? WHERE sequence = 1")
          for (let at = 0; at < zstd.length; at++) {
            const damaged = Uint8Array.from(zstd)
            damaged[at]! ^= 1 << (at % 8)
            update.run(damaged)
            const record = yield* log.at(0, 1)
            const opened = decodeBatch(record!.bytes)
            // Some bits of a compressed frame mean nothing; then the bytes are what they were.
            if (opened._tag === "Success") expect(Buffer.from(record!.bytes)).toEqual(Buffer.from(chainOf(1)[0]!.bytes))
            else expect(opened.failure._tag).toBe("CorruptBatch")
          }
          update.run(new Uint8Array(0))
          expect(decodeBatch((yield* log.at(0, 1))!.bytes)._tag).toBe("Failure")
        }),
      ),
    )
  })

  test("a store of a newer format is refused with a sentence", async () => {
    const directory = makeDirectory()
    await Effect.runPromise(
      inStore(directory, ({ database }) =>
        Effect.sync(() => database.exec("UPDATE meta SET value = '2' WHERE key = 'format'")),
      ),
    )
    const error = await failureOf(inStore(directory, () => Effect.void))
    expect(error).toMatchObject({ _tag: "StoreNewer", directory, found: 2, known: 1 })
    expect(error.message).toBe(
      `The store ${directory} has format 2; this version of Tidemark knows up to format 1. Upgrade Tidemark, or use another directory (--dir).`,
    )
  })

  test("a store that is in use is refused, and named, until it is free", async () => {
    const directory = makeDirectory()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* lockStore(directory)
          const error = yield* Effect.flip(Effect.scoped(lockStore(directory)))
          expect(error).toMatchObject({ _tag: "StoreInUse", directory, pid: process.pid })
          expect(error.message).toContain(`The store ${directory} is in use by process ${process.pid}.`)
        }),
      ),
    )
    await Effect.runPromise(Effect.scoped(lockStore(directory)))
  })

  test("a lock that a process left behind when it died is free", async () => {
    const directory = makeDirectory()
    writeFileSync(join(directory, "lock.pid"), "999999999")
    new DatabaseSync(join(directory, "lock.db")).close()
    await Effect.runPromise(Effect.scoped(lockStore(directory)))
  })

  test("a place where no directory can be is refused with a sentence", async () => {
    const file = join(makeDirectory(), "file")
    writeFileSync(file, "")
    for (const directory of [join(file, "store"), file]) {
      const locked = await failureOf(Effect.scoped(lockStore(directory)))
      expect(locked).toMatchObject({ _tag: "StoreUnavailable", directory })
      expect(locked.message).toBe(
        `The store ${directory} can't be opened: a part of the path is a file, not a directory.`,
      )
      const opened = await failureOf(inStore(directory, () => Effect.void))
      expect(opened).toMatchObject({ _tag: "StoreUnavailable", directory })
    }
  })

  test("a file that is no log is refused with a sentence", async () => {
    const directory = makeDirectory()
    writeFileSync(join(directory, "log.db"), "this is no database, but it is long enough to look at ".repeat(100))
    const error = await failureOf(inStore(directory, () => Effect.void))
    expect(error).toMatchObject({ _tag: "StoreUnavailable", reason: "file is not a database" })
  })

  test.each([0, -1, 1.5, 257, Number.NaN])("a log of %s partitions is refused with a sentence", async (partitions) => {
    const error = await failureOf(Effect.scoped(openSqliteLog(makeDirectory(), { partitions })))
    expect(error).toMatchObject({ reason: `a log has 1 to 256 partitions, not ${partitions}` })
  })
})
