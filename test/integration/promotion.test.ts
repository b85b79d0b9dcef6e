import type { Frame } from "../../src/app/query/frame.ts"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Latch, Layer, ManagedRuntime, Redacted, Stream } from "effect"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Analytics } from "../../src/app/Analytics.ts"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { compare } from "../../src/app/change/compare.ts"
import { drop } from "../../src/app/change/drop.ts"
import { promote, rollBack } from "../../src/app/change/promote.ts"
import { rebuild } from "../../src/app/change/rebuild.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { recordMetrics } from "../../src/app/metrics/recordMetrics.ts"
import { retireMetric } from "../../src/app/metrics/retireMetric.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { layerServers } from "../../src/app/servers.ts"
import { status } from "../../src/app/status/status.ts"
import type { Store } from "../../src/app/store.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { oracle, type OracleInput } from "../../src/domain/oracle/oracle.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import { formatDay, parseDay } from "../../src/domain/time/calendar.ts"
import { accept } from "../support/accept.ts"
import { eventually } from "../support/eventually.ts"
import { cellTexts } from "../support/MemoryReadModel.ts"
import { readBuilds } from "../support/readTables.ts"
import { openStage, type WorkersStage } from "../support/workers.ts"

/** Versions of a metric side by side on PostgreSQL: one at a time answers, whoever reads, and whoever works meanwhile. */

const PARTITIONS = 2

/** Promotions and ways back that readers look at, in all. */
const SWITCHES = 100

const EVERY_DAY = { from: parseDay("0000-01-01")!, to: parseDay("9999-12-31")! }

const events: ReadonlyArray<Event> = Array.from(simulate({ users: 250, days: 30, seed: 21 }), (raw) => accept(raw))
let appended = 0
const some = (count: number): ReadonlyArray<Event> => {
  expect(appended + count).toBeLessThanOrEqual(events.length)
  return events.slice(appended, (appended += count))
}

const directory = mkdtempSync(join(tmpdir(), "tidemark-promotion-"))

/** A file of one definition. */
const fileOf = (definition: MetricDefinition): string => {
  const path = join(directory, `${definition.name}-${definition.version}-${Object.keys(definition).length}.json`)
  writeFileSync(path, JSON.stringify([definition]))
  return path
}

const funnel = (version: number, ...names: ReadonlyArray<string>): MetricDefinition => ({
  name: "to_click",
  version,
  formula: { kind: "funnel", steps: names.map((event) => ({ event })) },
})

const clicks = (version: number, ...names: ReadonlyArray<string>): MetricDefinition => ({
  name: "clicks",
  version,
  filter: { events: names },
  formula: { kind: "active-users" },
})

let stage: WorkersStage
let runtime: ManagedRuntime.ManagedRuntime<Store | Analytics, unknown>
/** What the program does. */
const run = <A, E>(effect: Effect.Effect<A, E, Store | Analytics>): Promise<A> => runtime.runPromise(effect)

beforeAll(async () => {
  stage = await openStage(PARTITIONS)
  const servers = layerServers({
    nats: { servers: stage.nats.url, partitions: PARTITIONS },
    postgres: { url: Redacted.make(stage.postgres.url()) },
  })
  runtime = ManagedRuntime.make(Analytics.layer.pipe(Layer.provideMerge(servers)))
  await stage.append(some(500))
  await run(
    Effect.andThen(applyMetrics(fileOf(funnel(1, "page_view", "click"))), applyMetrics(fileOf(clicks(1, "click")))),
  )
})
afterAll(async () => {
  await runtime.dispose()
  await stage.close()
  rmSync(directory, { recursive: true, force: true })
})

const versions = async (name: string) =>
  (await run(ReadModel.use(({ measures }) => measures)))
    .filter(({ definition }) => definition.name === name)
    .map(({ definition: { version }, state }) => `${version} ${state}`)

/** Compares every build that is kept, whatever its state, with what the oracle counts in all of the log. */
const expectEveryBuildExact = async () => {
  await stage.caughtUp()
  const input: Array<OracleInput> = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const read = readBatches(partition, { after: 0 }).pipe(
      Stream.runForEach(({ batch }) =>
        Effect.sync(() => {
          for (const event of batch.events()) input.push({ event, partition, loggedAt: batch.origin.loggedAt })
        }),
      ),
    )
    await run(read)
  }
  const { measures, cells } = await run(
    ReadModelQueries.use(({ snapshot, standing, cells }) =>
      snapshot(
        Effect.gen(function* () {
          const { measures } = yield* standing
          return { measures, cells: yield* Effect.forEach(measures, ({ id }) => cells(id, EVERY_DAY)) }
        }),
      ),
    ),
  )
  for (const [n, { definition }] of measures.entries()) {
    const found = cells[n]!.map(({ day, item, stat, amount }) => [`${formatDay(day)}|${item}|${stat}`, amount] as const)
    const expected = oracle(input, DEFAULT_SETTINGS, [definition]).cells.get(definition.name)!
    expect(cellTexts(new Map(found.filter(([, amount]) => Number(amount) !== 0)))).toEqual(cellTexts(expected))
  }
  return measures.length
}

describe("while versions take each other's place", () => {
  test("every answer is that of the version that it names", async () => {
    await run(
      Effect.gen(function* () {
        yield* applyMetrics(fileOf(funnel(2, "page_view", "feature_used")), { promote: false })
        yield* applyMetrics(fileOf(clicks(2, "click", "page_view")), { promote: false })
      }),
    )
    const client = new pg.Client(stage.postgres.url())
    await client.connect()
    await client.query("SET search_path = tidemark")
    const rowsOf = async (sql: string) => (await client.query(sql)).rows as ReadonlyArray<{ readonly version: number }>
    const questions: Readonly<Record<string, () => Promise<Answered>>> = {
      metric: () => run(Analytics.use((analytics) => analytics.metric("clicks"))).then(named),
      funnel: () => run(Analytics.use((analytics) => analytics.funnel({ name: "to_click" }))).then(named),
      live_cells: () =>
        rowsOf(
          "SELECT version, day::text, stat, item, amount::text FROM live_cells WHERE metric = 'clicks' ORDER BY 2, 3, 4",
        ).then(ofOneVersion),
      funnel_steps: () =>
        rowsOf(
          "SELECT version, entry_day::text, step, users, from_previous_ms FROM funnel_steps WHERE funnel = 'to_click' ORDER BY 2, 3",
        ).then(ofOneVersion),
    }
    const askAll = async () => {
      const answers = new Map<string, unknown>()
      for (const [name, ask] of Object.entries(questions)) {
        const { version, answer } = await ask()
        answers.set(`${name} ${version}`, answer)
      }
      return answers
    }
    const switchTo = async (version: number) => {
      const build = (name: string) => promote(`${name}@${version}`)
      await run(Effect.andThen(build("clicks"), build("to_click")))
    }
    const right = await askAll()
    await switchTo(2)
    for (const [name, answer] of await askAll()) right.set(name, answer)
    expect([...right.keys()].filter((name) => name.endsWith("2"))).toHaveLength(4)
    for (const name of Object.keys(questions)) expect(right.get(`${name} 1`)).not.toEqual(right.get(`${name} 2`))

    const work = { over: false }
    const seen = new Map<string, number>()
    const reading = Object.entries(questions).map(async ([name, ask]) => {
      const chosen = new Map<string, number>()
      while (!work.over) {
        const { version, answer, cut = null } = await ask()
        expect(answer).toEqual(right.get(`${name} ${version}`))
        // What an answer says it stands on decides which version it is of.
        if (cut !== null) expect(chosen.get(cut) ?? version).toBe(version)
        if (cut !== null) chosen.set(cut, version)
        seen.set(`${name} ${version}`, (seen.get(`${name} ${version}`) ?? 0) + 1)
      }
    })
    const switching = (async () => {
      // One at a time is gone back to or promoted again; both are promotions to those who read.
      for (let n = 0; n < SWITCHES / 4; n++) {
        for (const name of ["clicks", "to_click"]) await run(rollBack(name))
        await switchTo(2)
      }
    })()
    await switching.finally(() => (work.over = true))
    await Promise.all(reading)
    await client.end()
    console.log(`answers: ${[...seen].map(([name, count]) => `${name}: ${count}`).join(", ")}`)
    expect([...seen.keys()].sort()).toEqual([...right.keys()].sort())
    // Readers ask as fast as they can, so a machine with other work takes long to come to the hundredth switch.
  }, 300_000)

  interface Answered {
    readonly version: number
    readonly answer: unknown
    readonly cut?: string | null
  }

  /** The cut apart: it names the fact that chose the version, and there is one for every switch. */
  const named = ({ asOf: { cut, ...asOf }, ...answer }: Frame): Answered => ({
    version: answer.version,
    answer: { ...answer, asOf },
    cut,
  })

  /** Rows that were read at once are all of one version. */
  const ofOneVersion = (rows: ReadonlyArray<{ readonly version: number }>) => {
    expect(new Set(rows.map(({ version }) => version)).size).toBe(1)
    return { version: rows[0]!.version, answer: rows }
  }

  test("of two who apply different definitions under one number at once one is told", async () => {
    // Each has looked at the log before the other one writes.
    const bothLooked = Latch.makeUnsafe()
    let looked = 0
    const afterBoth = Layer.effect(
      LogWriter,
      LogWriter.useSync((writer) =>
        LogWriter.of({
          ...writer,
          appendTo: (partition, events) => {
            if (++looked === 2) bothLooked.openUnsafe()
            return Effect.andThen(bothLooked.await, writer.appendTo(partition, events))
          },
        }),
      ),
    )
    const definitions = [clicks(3, "purchase"), { ...clicks(3, "sign_up"), owner: "ann" }]
    const outcomes = await run(
      Effect.forEach(definitions, (definition) => Effect.result(recordMetrics([fileOf(definition)])), {
        concurrency: 2,
      }).pipe(Effect.provide(afterBoth)),
    )
    const won = outcomes.findIndex(({ _tag }) => _tag === "Success")
    expect(outcomes.map(({ _tag }) => _tag).toSorted()).toEqual(["Failure", "Success"])
    expect(outcomes[1 - won]).toMatchObject({ failure: { _tag: "Overtaken" } })
    await run(Projector.use((projector) => projector.project()))
    const built = (await run(ReadModel.use(({ measures }) => measures))).find(
      ({ definition: { name, version } }) => name === "clicks" && version === 3,
    )
    expect(built).toMatchObject({ state: "ready", definition: definitions[won] })
    await run(drop("clicks@3"))
    expect(await versions("clicks")).toEqual(["1 detached", "2 live"])
  })

  test("a build that finds no room says so, while the others answer, and goes on once there is room", async () => {
    const { id } = (await run(ReadModel.use(({ measures }) => measures))).at(-1)!
    await stage.postgres.query(`
      CREATE FUNCTION tidemark.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.measure > ${id} THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END IF;
        RETURN NEW; END $$;
      CREATE TRIGGER no_room BEFORE INSERT ON tidemark.facts FOR EACH ROW EXECUTE FUNCTION tidemark.no_room()`)
    const five = fileOf(clicks(5, "page_view", "purchase"))
    const before = await run(Analytics.use((analytics) => analytics.metric("clicks")))
    const failed = await run(Effect.flip(applyMetrics(five, { promote: false })))
    expect(failed).toMatchObject({ _tag: "ReadModelUnavailable" })
    expect(failed.message).toMatch(/no space left on the disk/)
    expect(await versions("clicks")).toEqual(["1 detached", "2 live", "5 building"])
    // What answers goes on, and takes in what comes meanwhile.
    await stage.append(some(20))
    await run(Effect.flip(Projector.use((projector) => projector.project())))
    const after = await run(Analytics.use((analytics) => analytics.metric("clicks")))
    expect([before.version, after.version]).toEqual([2, 2])
    expect(after.asOf).not.toEqual(before.asOf)
    await stage.postgres.query("DROP TRIGGER no_room ON tidemark.facts")
    expect(await run(applyMetrics(five, { promote: false }))).toMatchObject({ waiting: ["clicks@5"] })
    expect(await versions("clicks")).toEqual(["1 detached", "2 live", "5 ready"])
    expect(await expectEveryBuildExact()).toBe(9)
    await run(drop("clicks@5"))
  })
})

describe("while workers project", () => {
  test("a version is built, compared, promoted, gone back from and dropped, and every build is exact", async () => {
    for (let n = 0; n < 2; n++) stage.start()
    await eventually(
      "both are alive",
      async () => (await run(Operations.use(({ liveWorkers }) => liveWorkers))).length === 2,
    )
    const work = { over: false }
    let worstLag = 0
    const trickle = (async () => {
      while (!work.over) {
        await stage.append(some(5))
        const { groups } = await run(status())
        worstLag = Math.max(worstLag, groups.find(({ group }) => group === LIVE_GROUP)!.lag.seconds)
        await sleep(100)
      }
    })()
    const story = async () => {
      const { comparisons, waiting } = await run(
        applyMetrics(fileOf(clicks(6, "click", "purchase")), { promote: false }),
      )
      expect(waiting).toEqual(["clicks@6"])
      expect(comparisons).toMatchObject([{ live: "clicks@2", build: "clicks@6" }])
      const { cells } = await run(compare("clicks@6"))
      expect(cells.equal + cells.changed + cells.added + cells.removed).toBeGreaterThan(0)
      expect(await run(promote("clicks@6"))).toMatchObject({ live: "clicks@6", replaced: "clicks@2" })
      expect(await run(rollBack("clicks"))).toEqual({ live: "clicks@2", replaced: "clicks@6" })
      expect(await run(rollBack("clicks@1"))).toEqual({ live: "clicks@1", replaced: "clicks@2" })
      expect(await versions("clicks")).toEqual(["1 live", "2 detached", "6 detached"])
      expect(await run(drop("clicks@2"))).toBe("clicks@2")
      // Built once more over all of history, beside what workers keep up to date, it is the same to the cell.
      const { comparisons: again, promoted } = await run(rebuild({ metrics: ["to_click", "active_users"] }))
      expect(promoted).toBe(true)
      expect(again.map(({ differing, cells }) => [differing, cells.equal > 0])).toEqual([
        [0, true],
        [0, true],
      ])
    }
    await story().finally(() => (work.over = true))
    await trickle
    console.log(`live was at most ${worstLag.toFixed(1)} s behind`)
    expect(await versions("clicks")).toEqual(["1 live", "6 detached"])
    expect(await versions("to_click")).toEqual(["1 detached", "2 live"])
    expect(await expectEveryBuildExact()).toBe(8)
  })

  test("a metric that is retired is answered no more, and the others go on", async () => {
    await run(applyMetrics(fileOf({ name: "gone", version: 1, formula: { kind: "event-count" } })))
    expect(await run(Analytics.use((analytics) => analytics.metric("gone")))).toMatchObject({ version: 1 })
    await run(retireMetric("gone"))
    await eventually("nothing is left of it", async () => (await versions("gone")).length === 0)
    const refused = await run(Effect.flip(Analytics.use((analytics) => analytics.metric("gone"))))
    expect(refused.message).toMatch(/retired with version 1/)
    await stage.append(some(20))
    expect(await expectEveryBuildExact()).toBe(8)
  })

  test("a read model that is emptied comes to the same builds, states, facts and cells", async () => {
    // One of each: live, detached, and ready since it never answered.
    await run(applyMetrics(fileOf(funnel(3, "page_view", "click", "feature_used")), { promote: false }))
    await stage.caughtUp()
    const states = ({ name, state }: { readonly name: string; readonly state: string }) => `${name} ${state}`
    const before = (await run(readBuilds)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    expect(before.filter(({ name }) => name.startsWith("to_click")).map(states)).toEqual([
      "to_click@1 detached",
      "to_click@2 live",
      "to_click@3 ready",
    ])
    await run(Projector.use((projector) => projector.rebuild()))
    await stage.caughtUp()
    const after = (await run(readBuilds)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    expect(after.map(states)).toEqual(before.map(states))
    expect(after).toEqual(before)
    expect(await run(rollBack("to_click"))).toEqual({ live: "to_click@1", replaced: "to_click@2" })
  })
})
