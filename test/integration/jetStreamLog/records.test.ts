import { randomBytes } from "node:crypto"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { headers } from "@nats-io/transport-node"
import { Effect, Stream } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { readBatches } from "../../../src/app/readBatches.ts"
import { EventLog, type LogRecord } from "../../../src/domain/log/EventLog.ts"
import { chainOf, readAll } from "../../contract/eventLog.ts"
import { type NatsServer, startNatsServer } from "../../support/natsServer.ts"
import { idsOf, managerOf, newProject, undoAll, withLog } from "./fixtures.ts"

/** Records as they are stored: compressed or not, and such as no writer of this version wrote. */

/** Shared by the tests that leave it running. */
let shared: NatsServer

beforeAll(async () => {
  shared = await startNatsServer()
})

afterAll(() => shared.close())

afterEach(undoAll)

describe("records", () => {
  const kept = async (project: string, manager: Awaited<ReturnType<typeof managerOf>>["manager"], sequence: number) =>
    Buffer.from((await manager.streams.getMessage(`tidemark_${project}`, { seq: sequence }))!.data)

  const bytesOf = (records: ReadonlyArray<Pick<LogRecord, "bytes">>) => records.map(({ bytes }) => Buffer.from(bytes))

  test("are stored compressed with zstd, and read as they were appended", async () => {
    const { project } = newProject()
    const { manager } = await managerOf(shared)
    const batches = chainOf(3, { size: 20_000 })
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches)
        for (const [n, { bytes }] of batches.entries()) {
          const payload = yield* Effect.promise(() => kept(project, manager, n + 1))
          expect(payload.length).toBeLessThan(0.75 * bytes.length)
          expect(zstdDecompressSync(payload)).toEqual(Buffer.from(bytes))
          expect(bytesOf([(yield* log.at(0, n + 1))!])).toEqual(bytesOf([{ bytes }]))
        }
        expect(bytesOf(yield* readAll(log))).toEqual(bytesOf(batches))
      }),
    )
  })

  test("that zstd makes no smaller are stored as they are", async () => {
    const { project } = newProject()
    const { manager } = await managerOf(shared)
    const noise = { ...chainOf(1)[0]!, bytes: randomBytes(1000) }
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append([noise])
        expect(yield* Effect.promise(() => kept(project, manager, 1))).toEqual(noise.bytes)
        expect(bytesOf(yield* readAll(log))).toEqual([noise.bytes])
      }),
    )
  })

  test("of versions that did not compress are read among others", async () => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    const batches = chainOf(6, { size: 2000 })
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        for (const [n, batch] of batches.entries()) {
          if (n % 2 === 0) {
            const head = headers()
            head.set("Nats-Msg-Id", batch.id)
            const options = { headers: head, timeout: 5000 }
            yield* Effect.promise(() => nats.request(`tidemark.${project}.0`, batch.bytes, options))
          } else yield* log.append([batch])
        }
        const opened = yield* Stream.runCollect(readBatches(0)).pipe(Effect.provideService(EventLog, log))
        expect(opened.map(({ batch }) => batch.id)).toEqual(idsOf(batches))
        expect(bytesOf(yield* readAll(log))).toEqual(bytesOf(batches))
        expect(bytesOf([(yield* log.at(0, 1))!, (yield* log.at(0, 2))!])).toEqual(bytesOf(batches.slice(0, 2)))
        // What is compressed now has the id that it had when it was not.
        expect((yield* log.append(batches)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6])
      }),
    )
  })

  test("are decompressed a few at a time, however many one delivery brings", async () => {
    const { project } = newProject()
    const size = 300_000
    // Of one letter: all of them together are a fraction of one pull.
    const batches = chainOf(30).map((batch) => ({ ...batch, bytes: Buffer.alloc(size, "x") }))
    await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(batches)
        const pages: Array<number> = []
        yield* log.read(0, 0).pipe(
          Stream.mapArray((records) => {
            pages.push(records.length)
            return records
          }),
          Stream.runForEach(({ bytes }) => Effect.sync(() => expect(bytes.length).toBe(size))),
        )
        expect(pages.reduce((all, records) => all + records, 0)).toBe(batches.length)
        expect(Math.max(...pages)).toBeLessThanOrEqual(Math.ceil((1024 * 1024) / size))
      }),
    )
  })
})

describe("a record that no writer of this version wrote", () => {
  const published = async (payload: Uint8Array, id?: string) => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    const problem = await withLog({ server: shared, project }, (log) =>
      Effect.gen(function* () {
        yield* log.append(chainOf(1))
        const head = headers()
        if (id !== undefined) head.set("Nats-Msg-Id", id)
        yield* Effect.promise(() => nats.request(`tidemark.${project}.0`, payload, { headers: head, timeout: 5000 }))
        yield* log.append(chainOf(2).slice(1))
        const opened: Array<string> = []
        const read = readBatches(0).pipe(
          Stream.runForEach(({ batch }) => Effect.sync(() => opened.push(batch.id))),
          Effect.provideService(EventLog, log),
        )
        const error = yield* Effect.flip(read)
        // What stands before it was read, and nothing after it.
        expect(opened).toEqual(["w.0.1"])
        return error
      }),
    )
    return problem
  }

  test("of a stranger", async () => {
    const error = await published(Buffer.from("hello"))
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toContain("The log is damaged at 0/2: it does not begin with a version number")
  })

  test("that is empty", async () => {
    expect((await published(new Uint8Array(0)))._tag).toBe("LogDamaged")
  })

  test("that is cut short", async () => {
    const { bytes, id } = chainOf(2)[1]!
    const error = await published(bytes.subarray(0, bytes.length - 7), `${id}-cut`)
    expect(error.message).toContain("The log is damaged at 0/2: its checksum does not match its bytes")
  })

  const damagedFrames: ReadonlyArray<readonly [string, (frame: Buffer) => Uint8Array]> = [
    ["cut short", (frame) => frame.subarray(0, frame.length - 7)],
    ["of its first bytes alone", (frame) => frame.subarray(0, 4)],
    ["with a changed block", (frame) => frame.fill(0xff, 20, 24)],
    ["with a flipped bit", (frame) => frame.map((byte, at) => (at === 300 ? byte ^ 1 : byte))],
  ]

  test.each(damagedFrames)("that is compressed and %s", async (_, damage) => {
    const [, second] = chainOf(2, { size: 500 })
    const error = await published(damage(zstdCompressSync(second!.bytes)), "damaged")
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toMatch(/^The log is damaged at 0\/2: it(s checksum| does not begin with a version number)/)
  })

  test("that unpacks to more than any batch is not unpacked", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(10_000)
    const error = await published(bomb, "bomb")
    expect(error._tag).toBe("LogDamaged")
    expect(error.message).toContain(`The log is damaged at 0/2: it does not begin with a version number`)
  })

  test("of a newer format", async () => {
    const { bytes } = chainOf(2)[1]!
    const newer = Buffer.from(Buffer.from(bytes).toString("latin1").replace('{"v":1,', '{"v":2,'), "latin1")
    const error = await published(newer, "newer")
    expect(error).toMatchObject({ _tag: "UnknownBatchVersion", found: 2, known: 1 })
  })

  test("can't be written to a partition that is none", async () => {
    const { project } = newProject()
    const { nats } = await managerOf(shared)
    await withLog({ server: shared, project, partitions: 2 }, () =>
      Effect.promise(() => expect(nats.request(`tidemark.${project}.2`, "hello")).rejects.toThrow("no responders")),
    )
  })
})
