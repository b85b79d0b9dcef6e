import { writeFile } from "node:fs/promises"
import { Effect, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { BATCH_BYTES_MAX } from "../../src/app/LogWriter.ts"
import { replayQuarantine } from "../../src/app/quarantine.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { Tracker } from "../../src/app/Tracker.ts"
import { EVENT_BYTES_MAX } from "../../src/domain/event/size.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { Quarantine } from "../../src/domain/log/Quarantine.ts"
import { openStore, type TestStore } from "../support/store.ts"

let store: TestStore

beforeAll(async () => {
  store = await openStore()
})
afterAll(() => store.close())

const KIB = 1024

/** Files whose second of three lines fits as it stands, and not as the log would hold it. */
const files: ReadonlyArray<readonly [name: string, parts: ReadonlyArray<string | Buffer>]> = [
  [
    "invalid.ndjson",
    [
      `{"event":"a","timestamp":0,"userId":"u1"}\n{"event":"b","timestamp":0,"text":"`,
      Buffer.alloc(450 * KIB, 0xff),
      `"}\n{"event":"c","timestamp":0,"userId":"u1"}\n`,
    ],
  ],
  ["controls.csv", ["ts,event,user_id,text\n0,a,u1,x\n0,b,u1,", Buffer.alloc(450 * KIB, 1), "\n0,c,u1,x\n"]],
  [
    "numbers.ndjson",
    [
      `{"event":"a","timestamp":0}\n{"event":"b","timestamp":0,"numbers":[${"1e20,".repeat(80 * KIB)}0]}\n`,
      `{"event":"c","timestamp":0}\n`,
    ],
  ],
  [
    "page.ndjson",
    [
      `{"event":"a","timestamp":0}\n{"type":"page","timestamp":0,"name":"${"x".repeat(500 * KIB)}"}\n`,
      `{"event":"c","timestamp":0}\n`,
    ],
  ],
  [
    "wide.csv",
    [
      `ts,event,${Array.from({ length: 17_000 }, (_, n) => `a column of a long name ${n}`).join()}\n`,
      `0,a${",".repeat(17_000)}\n0,b${",1".repeat(17_000)}\n0,c${",".repeat(17_000)}\n`,
    ],
  ],
]

/** Names of the events in the log, and the bytes of its largest record. */
const logged = Effect.gen(function* () {
  const log = yield* EventLog
  const sizes = yield* log.read(0, 0).pipe(
    Stream.map(({ bytes }) => bytes.length),
    Stream.runCollect,
  )
  const batches = yield* Stream.runCollect(readBatches(0))
  return {
    names: batches.flatMap(({ batch }) => batch.events().map(({ name }) => name)),
    largest: Math.max(...sizes),
  }
})

describe("events that grow on their way into the log", () => {
  test.each(files)("%s: the large line is quarantined, and those around it are logged", async (name, parts) => {
    const before = (await store.run(logged)).names.length
    const file = await store.write(name, [])
    await writeFile(file, Buffer.concat(parts.map((part) => Buffer.from(part as string))))
    expect(await store.import(file)).toEqual({ read: 3, accepted: 2, rejected: 1 })
    const lines = await store.run(Quarantine.use((quarantine) => quarantine.list(0, 100)))
    expect(lines.at(-1)).toMatchObject({ source: file, reason: "too-large" })
    // Read again, it is no smaller.
    expect(await store.run(replayQuarantine())).toEqual({ accepted: 0, rejected: lines.length })
    const { names, largest } = await store.run(logged)
    expect(names.slice(before)).toEqual(["a", "c"])
    expect(largest).toBeLessThanOrEqual(BATCH_BYTES_MAX)
  })

  test("a tracked event that is logged twice over is refused, and the next one is taken", async () => {
    const rejected = await store.run(
      Effect.gen(function* () {
        const tracker = yield* Tracker
        const rejected = yield* Effect.flip(tracker.page({ userId: "u1", name: "x".repeat(EVENT_BYTES_MAX - KIB) }))
        yield* tracker.page({ userId: "u1", name: "home" })
        yield* tracker.flush
        return rejected
      }).pipe(Effect.provide(Tracker.layer())),
    )
    expect(rejected).toMatchObject({ _tag: "EventRejected", reason: "too-large" })
    const { names, largest } = await store.run(logged)
    expect(names.at(-1)).toBe("page_view")
    expect(largest).toBeLessThanOrEqual(BATCH_BYTES_MAX)
  })
})
