import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { beforeEach, expect, test } from "vitest"
import { recordDefinitions, recordSettings } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { buildGroups, liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition } from "../../src/app/projection/PartitionProjection.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { Books } from "./Books.ts"
import { NO_FAULTS } from "./faults.ts"
import { Flaws } from "./flaws.ts"
import { productOf, type Products } from "./processes.ts"
import { SimulatedLog } from "./SimulatedLog.ts"
import { SimulatedReadModel } from "./SimulatedReadModel.ts"
import { OpenWorld, type Process } from "./World.ts"

/** What the simulation found, told step by step: in the order that a seed had found. */

const DAY = 86_400_000

let world: OpenWorld
let books: Books
let log: SimulatedLog
let readModel: SimulatedReadModel

beforeEach(() => {
  world = new OpenWorld()
  books = new Books(1)
  log = new SimulatedLog(world, NO_FAULTS, { partitions: 1, writers: "many" }, new Flaws())
  readModel = new SimulatedReadModel(world, NO_FAULTS, new Flaws(), books.hear)
})

/** A process of its own, in which programs are run one after another. */
const open = (clockOffset = 0) => {
  const process: Process = world.process("process")
  process.clockOffset = clockOffset
  const product = Layer.build(productOf({ log, readModel }, process))
  const services = Effect.runSync(Effect.scoped(product))
  return <A, E>(program: Effect.Effect<A, E, Products>): Promise<A> =>
    new Promise((resolve, reject) => {
      world.start(process, Effect.provideContext(Effect.exit(program), services), (exit) => {
        if (Exit.isFailure(exit)) reject(new Error(Cause.pretty(exit.cause)))
        else if (Exit.isSuccess(exit.value)) resolve(exit.value.value)
        else reject(Cause.squash(exit.value.cause))
      })
      while (world.step());
    })
}

const clicks = (...ids: ReadonlyArray<string>): ReadonlyArray<Event> =>
  ids.map((id) => ({
    id,
    kind: "track",
    name: "click",
    userId: `user ${id}`,
    anonymousId: null,
    sessionId: null,
    time: Date.parse("2024-05-01T10:00:00Z"),
    timestamp: null,
    sentAt: null,
    receivedAt: null,
    warnings: [],
    body: {},
  }))

const append = (...ids: ReadonlyArray<string>) => LogWriter.use((writer) => writer.append(clicks(...ids)))
const project = Projector.use((projector) => projector.project())
const applyMetric = recordDefinitions([{ name: "counted", version: 1, formula: { kind: "event-count" } }])

const planned = Effect.map(prepare, ({ settings, versions }) => {
  const zone = TimeZone.of(settings.timeZone)!
  return { settings, live: liveGroup(versions, zone), builds: buildGroups(versions, zone) }
})

const expectRight = () => {
  books.checkQuiet(readModel.tables, log.records)
  books.checkCells(readModel.tables, log.records)
  expect(books.violations).toEqual([])
}

test("a build that another has promoted is not begun again by who planned it before", async () => {
  const [one, other] = [open(), open()]
  await one(append("1", "2"))
  await one(project)
  await one(applyMetric)
  const { settings, builds } = await one(planned)
  await other(project)
  await expect(one(claimPartition(builds[0]!, 0, settings, "one"))).rejects.toMatchObject({
    _tag: "CheckpointConflict",
  })
  expectRight()
})

test("tables emptied for other settings are not projected into under the old ones", async () => {
  const [one, other] = [open(), open()]
  await one(append("1", "2"))
  await one(project)
  const { settings, live } = await one(planned)
  await other(recordSettings({ ...DEFAULT_SETTINGS, timeZone: "Pacific/Apia" }))
  await other(project)
  await expect(one(claimPartition(live, 0, settings, "one"))).rejects.toMatchObject({ _tag: "CheckpointConflict" })
  await one(project)
  expectRight()
})

test("a build that ends before the log does goes on where it ended", async () => {
  const one = open()
  await one(append("1"))
  await one(project)
  await one(append("2"))
  await one(applyMetric)
  const { settings, builds } = await one(planned)
  const buildUpTo = (upTo: number) =>
    Effect.gen(function* () {
      const build = yield* claimPartition(builds[0]!, 0, settings, "one")
      const after = build.checkpoint()?.position.sequence ?? 0
      yield* readBatches(0, { after, upTo, chain: build.chain }).pipe(Stream.runForEach(build.take))
      yield* build.commit()
    })
  await one(buildUpTo(log.of(0)[0]!.sequence))
  await one(project)
  expectRight()
})

test.each([8, -8])("a clock that is %s days off makes no chain forgotten", async (days) => {
  const [right, wrong] = [open(), open(days * DAY)]
  for (const round of ["1", "2", "3"]) {
    await right(append(`right ${round}`))
    await wrong(append(`wrong ${round}`))
    await right(project)
    expectRight()
  }
})

test("the last batch that a writer wrote is missed too", async () => {
  await open()(append("1"))
  await open()(append("2"))
  await open()(append("3"))
  log.records = log.records.filter(({ sequence }) => sequence !== 2)
  await expect(open()(project)).rejects.toMatchObject({ _tag: "LogDamaged", problem: "record 2 is missing" })
})

test("a repeat of an event that retention has removed is no damage, and counts once", async () => {
  const one = open()
  await one(append("1"))
  await one(append("2"))
  await one(project)
  const before = [...log.records]
  log.purgeBefore(before.at(-1)!.sequence)
  await one(append("1", "3"))
  await one(project)
  books.checkCells(readModel.tables, [before[0]!, ...log.records])
  expect(books.violations).toEqual([])
})
