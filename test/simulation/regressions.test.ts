import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { beforeEach, expect, test } from "vitest"
import { readControl, recordDefinitions, recordSettings } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { buildGroups, liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition } from "../../src/app/projection/PartitionProjection.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import type { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { beginAnew } from "../../src/app/projection/beginAnew.ts"
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

type Tables = ReadModel["Service"]

/** A process of its own, in which programs are run one after another. */
const open = (clockOffset = 0, seen = (tables: Tables) => tables) => {
  const process: Process = world.process("process")
  process.clockOffset = clockOffset
  const tables = { open: (process: Process) => seen(readModel.open(process)) }
  const product = Layer.build(productOf({ log, readModel: tables }, process))
  const services = Effect.runSync(Effect.scoped(product))
  const run = <A, E>(program: Effect.Effect<A, E, Products>): Promise<A> =>
    new Promise((resolve, reject) => {
      world.start(process, Effect.provideContext(Effect.exit(program), services), (exit) => {
        if (Exit.isFailure(exit)) reject(new Error(Cause.pretty(exit.cause)))
        else if (Exit.isSuccess(exit.value)) resolve(exit.value.value)
        else reject(Cause.squash(exit.value.cause))
      })
      while (world.step());
    })
  /** The program as a part of what another process waits for. */
  const within = <A, E>(program: Effect.Effect<A, E, Products>) =>
    Effect.orDie(Effect.provideContext(program, services))
  return Object.assign(run, { within })
}

/** A process to which something happens right before it first reads the settings, or marks the tables as whole. */
const openInterrupted = (call: "settings" | "markWhole", happening: Effect.Effect<unknown>) => {
  let happened = false
  const first = Effect.suspend(() => {
    if (happened) return Effect.void
    happened = true
    return Effect.asVoid(happening)
  })
  return open(0, (tables) =>
    call === "settings"
      ? { ...tables, settings: Effect.andThen(first, tables.settings) }
      : { ...tables, markWhole: (made) => Effect.andThen(first, tables.markWhole(made)) },
  )
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

test("of two first starts one empties the tables, and the other goes on from there", async () => {
  const other = open()
  await other(append("1", "2"))
  // Both have found that nobody has made them; the other is through before this one empties them.
  const one = open(0, (tables) => {
    const wipe: Tables["wipe"] = (...asked) => Effect.andThen(other.within(project), tables.wipe(...asked))
    return { ...tables, wipe }
  })
  expect(await one(project)).toMatchObject({ events: 0, rebuilt: false })
  expect(readModel.tables.made).toBe("1")
  expectRight()
})

test("who has read older control facts does not bring the tables back to older settings", async () => {
  const other = open()
  await other(append("1", "2"))
  await other(project)
  const settings = { ...DEFAULT_SETTINGS, timeZone: "Pacific/Apia" }
  const one = openInterrupted("settings", other.within(Effect.andThen(recordSettings(settings), project)))
  expect(await one(project)).toMatchObject({ events: 0, rebuilt: false })
  expect(readModel.tables).toMatchObject({ made: "2", settings })
  expectRight()
})

test("tables that somebody empties right before they are marked as whole are not", async () => {
  const other = open()
  await other(append("1", "2"))
  const one = openInterrupted("markWhole", other.within(beginAnew()))
  await one(project)
  expect(readModel.tables.whole).toBe(false)
  await one(project)
  expectRight()
})

test("a version of a metric means what it meant first, whoever applied it again meanwhile", async () => {
  const one = open()
  const of = (version: number, event: string) =>
    ({ name: "counted", version, formula: { kind: "event-count" }, filter: { events: [event] } }) as const
  await one(append("1", "2"))
  await one(project)
  await one(recordDefinitions([of(1, "click")]))
  await one(project)
  await one(recordDefinitions([of(1, "view"), of(3, "click")]))
  await one(recordDefinitions([of(2, "view"), of(3, "view")]))
  const { versions } = (await one(readControl)).metrics.get("counted")!
  expect(versions.map(({ definition }) => definition)).toEqual([of(1, "click"), of(3, "click")])
  await one(project)
  const live = () => readModel.tables.measures.filter(({ state }) => state === "live").map((it) => it.definition)
  const before = live()
  await one(Effect.andThen(beginAnew(), project))
  expect(live()).toContainEqual(of(3, "click"))
  expect(live()).toEqual(expect.arrayContaining([...before]))
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
