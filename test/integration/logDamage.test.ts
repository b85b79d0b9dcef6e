import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect, nanos, type NatsConnection } from "@nats-io/transport-node"
import { Effect, Layer, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { provePositions } from "../../src/app/provePosition.ts"
import { newChain, readBatches } from "../../src/app/readBatches.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { encodeBatch, type PackedBatch } from "../../src/domain/log/batch.ts"
import { ChainVerifier } from "../../src/domain/log/ChainVerifier.ts"
import { CONTROL_PARTITION, EventLog } from "../../src/domain/log/EventLog.ts"
import { type Checkpoint, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { openJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { type NatsServer, startNatsServer } from "../support/natsServer.ts"

/**
 * Damage to the block files of a real server that is stopped and started again: all of it is found and named, by what
 * the product itself uses, and healthy logs are never called damaged. Many logs live in one store, each with a damage
 * of its own, so that one restart of the server is enough for hundreds of cases.
 */

/** Set TIDEMARK_SEED to damage other places. */
const SEED = Number(process.env["TIDEMARK_SEED"] ?? 20_261_122)

const below = (random: Random, bound: number): number => random.between(0, bound - 1)

const CASES_PER_KIND = 40
const HEALTHY_PER_KIND = 10

const PARTITIONS = 2
const ALL_PARTITIONS = [CONTROL_PARTITION, 0, 1]

/** Up to this bound the server keeps a stream in blocks of 32 kB, its smallest; so each log here has several. */
const MAX_BYTES = 120_000

/** Batches before and after the older copy is taken, compressed together about 110 kB. */
const BEFORE = 60
const AFTER = 60

const event = (random: Random, id: string): Event => ({
  id,
  kind: "track",
  name: "click",
  userId: `user-${below(random, 50)}`,
  anonymousId: null,
  sessionId: null,
  time: 1,
  timestamp: null,
  sentAt: null,
  receivedAt: null,
  warnings: [],
  body: { text: Array.from({ length: 24 }, () => random.between(0, 2 ** 31).toString(36)).join("") },
})

/** One writer with a chain in every partition, mixed as appends mix them. */
class Writer {
  readonly #name: string
  readonly #random: Random
  readonly #ends = new Map<number, PackedBatch>()

  constructor(name: string, random: Random) {
    this.#name = name
    this.#random = random
  }

  batches(count: number): ReadonlyArray<PackedBatch> {
    return Array.from({ length: count }, () => {
      const partition = this.#random.oneOf(ALL_PARTITIONS)
      const last = this.#ends.get(partition)
      const number = (last?.origin.number ?? 0) + 1
      const origin = { writer: this.#name, number, previous: last?.sum ?? "", partition, loggedAt: number }
      const length = this.#random.between(1, 12)
      const events = Array.from({ length }, (_, i) => event(this.#random, `${partition}-${number}-${i}`))
      const batch = encodeBatch(origin, events)
      this.#ends.set(partition, batch)
      return batch
    })
  }
}

/** What a reader that has read everything keeps, by partition. */
type Checkpoints = ReadonlyMap<number, Checkpoint>

const NO_COUNTS = { projected: 0, duplicates: 0, conflicts: 0, personless: 0 }

/** Reads the log from its front, as a projector does that begins. */
const readEverything = Effect.gen(function* () {
  const checkpoints = new Map<number, Checkpoint>()
  for (const partition of ALL_PARTITIONS) {
    const chain = yield* newChain(partition)
    yield* Stream.runForEach(readBatches(partition, { chain }), ({ position }) =>
      Effect.sync(() => {
        checkpoints.set(partition, { position, chain: chain.state, logTime: 0, counts: NO_COUNTS })
      }),
    )
  }
  return checkpoints
})

const readModelAt = (checkpoints: Checkpoints) => {
  const control = checkpoints.get(CONTROL_PARTITION) ?? null
  const [end] = Object.values(control?.chain ?? {})
  return Layer.mock(ReadModel, {
    checkpoint: (_, partition) => Effect.succeed(checkpoints.get(partition) ?? null),
    controlEnd: Effect.succeed(control === null ? null : { position: control.position, sum: end?.sum ?? "" }),
  })
}

/** What is found out about a log by coming back to it; null when it is found whole. */
const judge = (checkpoints: Checkpoints): Effect.Effect<string | null, never, EventLog> =>
  Effect.gen(function* () {
    yield* EventLog.use((log) => log.prove)
    yield* Effect.provide(provePositions, readModelAt(checkpoints))
    yield* readEverything
    for (const [partition, { position, chain }] of checkpoints) {
      const from = { after: position.sequence, chain: new ChainVerifier(partition, chain) }
      yield* Stream.runDrain(readBatches(partition, from))
    }
    return null
  }).pipe(Effect.catch((error) => Effect.succeed(`${error._tag}: ${error.message}`)))

/** Does something to the block files of a log; says what it did, for the report of a case that was missed. */
type Damage = (blocks: ReadonlyArray<string>, random: Random) => string

const flip = (block: string, random: Random, choose: (bytes: Buffer) => number): string => {
  const bytes = readFileSync(block)
  const at = choose(bytes)
  bytes[at]! ^= 1 << below(random, 8)
  writeFileSync(block, bytes)
  return `${block}: a bit of byte ${at} of ${bytes.length}`
}

/** First bytes of a batch that is compressed with zstd. */
const FRAME = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Where the batches in a block begin. */
const payloadsIn = (bytes: Buffer): ReadonlyArray<number> => {
  const places: Array<number> = []
  for (let at = bytes.indexOf(FRAME); at >= 0; at = bytes.indexOf(FRAME, at + 1)) places.push(at)
  return places
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  "a flipped bit in a payload": (blocks, random) =>
    flip(random.oneOf(blocks), random, (bytes) => random.oneOf(payloadsIn(bytes)) + below(random, 400)),
  "a flipped bit anywhere": (blocks, random) =>
    flip(random.oneOf(blocks), random, (bytes) => below(random, bytes.length)),
  "a block cut in half": (blocks, random) => {
    const block = random.oneOf(blocks)
    truncateSync(block, Math.floor(statSync(block).size / 2))
    return block
  },
  "a truncated tail": (blocks, random) => {
    const block = blocks[blocks.length - 1]!
    const { size } = statSync(block)
    const left = below(random, size)
    truncateSync(block, left)
    return `${block}: ${left} bytes left of ${size}`
  },
  "a deleted middle": (blocks, random) => {
    const block = random.oneOf(blocks)
    const bytes = readFileSync(block)
    const from = below(random, bytes.length)
    const to = random.between(from + 1, bytes.length)
    writeFileSync(block, Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]))
    return `${block}: bytes ${from} to ${to} of ${bytes.length}`
  },
  "a block in the middle that is gone": (blocks, random) => {
    const block = random.oneOf(blocks.slice(1, -1))
    rmSync(block)
    return block
  },
}

/** The whole log is put back to what it was, and written on: its numbers are given out a second time. */
const OLDER_COPY = "an older copy, written on"

type Maintenance = (manager: JetStreamManager, stream: string, random: Random) => Promise<unknown>

/** What an operator or the server may do to a log that is no damage; done after everything was read. */
const HEALTHY: Readonly<Record<string, Maintenance>> = {
  "left alone": () => Promise.resolve(),
  "purged up to a record": async (manager, stream, random) => {
    const { state } = await manager.streams.info(stream)
    await manager.streams.purge(stream, { seq: random.between(2, state.last_seq) })
  },
  "purged to a few": (manager, stream, random) => manager.streams.purge(stream, { keep: random.between(1, 9) }),
  "purged of all": (manager, stream) => manager.streams.purge(stream),
  "purged past a hole": async (manager, stream, random) => {
    const hole = random.between(5, BEFORE)
    await manager.streams.deleteMessage(stream, hole, false)
    await manager.streams.purge(stream, { seq: hole + 1 })
  },
  "grown old at the front": async (manager, stream) => {
    // Old enough are about those of the first append.
    const old = await manager.streams.getMessage(stream, { seq: BEFORE })
    const young = await manager.streams.getMessage(stream, { seq: BEFORE + 1 })
    const age = nanos(Date.now() - (old!.time.getTime() + young!.time.getTime()) / 2)
    await manager.streams.update(stream, { max_age: age, duplicate_window: age })
    let begins = 0
    while (begins <= 1) begins = (await manager.streams.info(stream)).state.first_seq
    await manager.streams.update(stream, { max_age: 0, duplicate_window: nanos(120_000) })
  },
  "removed one by one at the front": async (manager, stream) => {
    for (let sequence = 1; sequence <= 4; sequence++) await manager.streams.deleteMessage(stream, sequence, false)
  },
}

/** What is said of a log whose server is gone. */
const UNAVAILABLE = /^(LogUnavailable|NatsUnreachable|NatsServerUnfit): /

/** One log with what happens to it. */
interface Case {
  readonly project: string
  readonly kind: string
  /** Its own, so that a seed does the same to it whatever the order of things. */
  readonly random: Random
  readonly writer: Writer
  checkpoints: Checkpoints
  where: string
}

const casesOf = (kinds: ReadonlyArray<string>, count: number, prefix: string): ReadonlyArray<Case> =>
  kinds.flatMap((kind, k) =>
    Array.from({ length: count }, (_, n) => {
      const project = `${prefix}_${k}_${n}`
      const random = new Random(SEED * 10_000 + k * 100 + n)
      const writer = new Writer(`w-${project}`, random)
      return { project, kind, random, writer, checkpoints: new Map(), where: "" }
    }),
  )

describe("damage to the files of the log in JetStream", () => {
  let server: NatsServer

  beforeAll(async () => {
    server = await startNatsServer()
  })

  afterAll(() => server.close())

  const directoryOf = ({ project }: Case): string =>
    join(server.storeDirectory, "jetstream", "$G", "streams", `tidemark_${project}`)

  const olderCopyOf = ({ project }: Case): string => join(server.storeDirectory, "older", project)

  /** The block files of a log, in their order. */
  const blocksOf = (it: Case): ReadonlyArray<string> => {
    const directory = join(directoryOf(it), "msgs")
    return readdirSync(directory)
      .filter((name) => name.endsWith(".blk") && statSync(join(directory, name)).size > 0)
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .map((name) => join(directory, name))
  }

  /** Works on a log as a process does that has just started. */
  const inLog = <A, E>({ project }: Case, use: Effect.Effect<A, E, EventLog>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const log = yield* openJetStreamLog({
          servers: server.url,
          project,
          partitions: PARTITIONS,
          maxBytes: MAX_BYTES,
          patience: "2 seconds",
        })
        return yield* Effect.provideService(use, EventLog, log)
      }),
    )

  const inEach = (cases: ReadonlyArray<Case>, run: (it: Case) => Effect.Effect<unknown, unknown>): Promise<void> =>
    Effect.runPromise(Effect.forEach(cases, run, { concurrency: 8, discard: true }))

  const append = (it: Case, writer: Writer, count: number) =>
    inLog(
      it,
      EventLog.use((log) => log.append(writer.batches(count))),
    )

  const readAndKeep = (it: Case) =>
    Effect.map(inLog(it, readEverything), (checkpoints) => {
      it.checkpoints = checkpoints
    })

  /** What is found out about a log; null when it is found whole. */
  const judgeOne = (it: Case): Effect.Effect<string | null> =>
    inLog(it, judge(it.checkpoints)).pipe(Effect.catch((error) => Effect.succeed(`${error._tag}: ${error.message}`)))

  const restart = async (): Promise<void> => {
    await server.kill()
    await server.start()
  }

  /**
   * Judges every log; gives what was found of each. There are damages on which the server itself crashes: whatever log
   * was not available is judged again, alone, with the server started anew.
   */
  const judgeAll = async (cases: ReadonlyArray<Case>) => {
    const found = new Map<Case, string | null>()
    await inEach(cases, (it) => Effect.map(judgeOne(it), (problem) => found.set(it, problem)))
    for (const it of cases.filter((it) => UNAVAILABLE.test(found.get(it) ?? ""))) {
      found.set(it, await Effect.runPromise(judgeOne(it)))
      if (!UNAVAILABLE.test(found.get(it) ?? "")) continue
      await restart()
      found.set(it, await Effect.runPromise(judgeOne(it)))
      if (UNAVAILABLE.test(found.get(it) ?? "")) await restart()
    }
    return [...found].map(([it, problem]) => ({ it, problem }))
  }

  const withManager = async <A>(use: (manager: JetStreamManager) => Promise<A>): Promise<A> => {
    const nats: NatsConnection = await connect({ servers: server.url })
    try {
      return await use(await jetstreamManager(nats))
    } finally {
      await nats.close()
    }
  }

  test("is found, all of it", async () => {
    const cases = casesOf([...Object.keys(DAMAGES), OLDER_COPY], CASES_PER_KIND, "damaged")
    const putBack = cases.filter(({ kind }) => kind === OLDER_COPY)

    await inEach(cases, (it) => append(it, it.writer, BEFORE))
    await server.stop()
    for (const it of putBack) cpSync(directoryOf(it), olderCopyOf(it), { recursive: true })
    await server.start()
    await inEach(cases, (it) => Effect.andThen(append(it, it.writer, AFTER), readAndKeep(it)))
    const healthy = await judgeAll(cases)
    expect(healthy.filter(({ problem }) => problem !== null)).toEqual([])

    await server.stop()
    for (const it of cases) {
      const damage = DAMAGES[it.kind]
      if (damage !== undefined) it.where = damage(blocksOf(it), it.random)
    }
    for (const it of putBack) {
      rmSync(directoryOf(it), { recursive: true })
      cpSync(olderCopyOf(it), directoryOf(it), { recursive: true })
    }
    await server.start()
    // Some of them less far than the log once went, some about as far.
    await inEach(putBack, (it) => append(it, new Writer(`later-${it.project}`, it.random), it.random.between(1, AFTER)))

    const found = await judgeAll(cases)
    expect(found.length).toBeGreaterThanOrEqual(200)
    const missed = found.filter(({ problem }) => problem === null).map(({ it: { kind, where } }) => ({ kind, where }))
    expect(missed, `seed ${SEED}`).toEqual([])
    const named = found.filter(({ problem }) => /^(LogDamaged: The log is damaged|PositionDiverged: )/.test(problem!))
    const crashing = found.filter(({ problem }) => UNAVAILABLE.test(problem!))
    expect(named.length + crashing.length).toBe(found.length)
    // A bit in the length of a record is enough for server 2.9.10 to crash when it is read.
    expect(crashing.length, `seed ${SEED}`).toBeLessThan(found.length / 20)
    // A copy that was put back is named as one, by the batch that stands where another was read.
    const restored = found.filter(({ it }) => it.kind === OLDER_COPY)
    for (const { problem } of restored) expect(problem).toMatch(/but the log has (no batch|batch later-\S+) there/)
    expect(restored.filter(({ problem }) => problem!.includes("batch later-")).length).toBeGreaterThan(0)
  })

  test("is not seen where there is none: retention, purges, holes at the front, and a restart", async () => {
    const cases = casesOf(Object.keys(HEALTHY), HEALTHY_PER_KIND, "healthy")
    await inEach(cases, (it) => append(it, it.writer, BEFORE))
    await inEach(cases, (it) => Effect.andThen(append(it, it.writer, AFTER), readAndKeep(it)))
    await withManager(async (manager) => {
      for (const { kind, project, random } of cases) await HEALTHY[kind]?.(manager, `tidemark_${project}`, random)
    })
    const before = await judgeAll(cases)
    expect(before.filter(({ problem }) => problem !== null)).toEqual([])

    await server.stop()
    await server.start()
    const after = await judgeAll(cases)
    expect(after.filter(({ problem }) => problem !== null)).toEqual([])
    // The writers go on where they were, and their chains hold.
    await inEach(cases, (it) => append(it, it.writer, 9))
    const later = await judgeAll(cases)
    expect(later.filter(({ problem }) => problem !== null)).toEqual([])
  })

  test("records that are purged before they were read are missed", async () => {
    const cases = casesOf(["purged too early"], 3, "early")
    await inEach(cases, (it) => Effect.andThen(append(it, it.writer, BEFORE), readAndKeep(it)))
    await inEach(cases, (it) => append(it, it.writer, AFTER))
    await withManager(async (manager) => {
      for (const { project } of cases) await manager.streams.purge(`tidemark_${project}`)
    })
    for (const { problem } of await judgeAll(cases)) {
      expect(problem).toMatch(/LogDamaged: .*records are missing, \d+ to \d+: retention or a purge removed them before/)
    }
  })

  test("control facts that lose their end are missed, also when the events before were removed by retention", async () => {
    const cases = casesOf(["the end of the control facts is gone"], 3, "control")
    await inEach(cases, (it) => Effect.andThen(append(it, it.writer, BEFORE), readAndKeep(it)))
    await withManager(async (manager) => {
      for (const { project } of cases) {
        const { state } = await manager.streams.info(`tidemark-control_${project}`)
        await manager.streams.purge(`tidemark_${project}`)
        await manager.streams.deleteMessage(`tidemark-control_${project}`, state.last_seq, false)
      }
    })
    for (const { problem } of await judgeAll(cases))
      expect(problem).toMatch(/^(LogDamaged: .*damaged at -1.*record \d+ is missing|PositionDiverged: )/)
  })

  test("at the very front it looks like a purge, and the log says where it begins", async () => {
    const cases = casesOf(["the first block is gone"], 3, "front")
    await inEach(cases, (it) => Effect.andThen(append(it, it.writer, BEFORE + AFTER), readAndKeep(it)))
    await server.stop()
    for (const it of cases) rmSync(blocksOf(it)[0]!)
    await server.start()
    await inEach(cases, (it) =>
      inLog(
        it,
        Effect.gen(function* () {
          expect(yield* judge(it.checkpoints)).toBeNull()
          expect(yield* EventLog.use((log) => log.begins(0))).toBeGreaterThan(1)
        }),
      ),
    )
  })
})
