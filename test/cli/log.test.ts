import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Layer, Redacted } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { recordSettings } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { layerServers } from "../../src/app/servers.ts"
import type { Store } from "../../src/app/store.ts"
import { verify } from "../../src/app/verify/verify.ts"
import { applyMetrics, importEvents, Projector } from "../../src/effect.ts"
import { Quarantine } from "../../src/domain/log/Quarantine.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { INTAKE, ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { parseDay } from "../../src/domain/time/calendar.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { ok, okJson, refused, scratch } from "../support/cli.ts"
import { type Servers, startServers } from "../support/servers.ts"
import { JOURNEY, METRICS } from "./journey.ts"

/** From the embedded default to servers and back with two commands; the tests of this file go on where the last one ended. */

const here = scratch()
let servers: Servers
let embedded: string

beforeAll(async () => {
  servers = await startServers()
  embedded = await here.store("embedded")
})

afterAll(async () => {
  await servers.dispose()
  here.remove()
})

/** A project on the servers, as the environment names it and as a layer. */
const project = (name: string, partitions: number) => ({
  options: {
    env: {
      ...servers.env,
      TIDEMARK_PROJECT: name,
      TIDEMARK_POSTGRES_SCHEMA: name,
      TIDEMARK_PARTITIONS: String(partitions),
    },
    cwd: here.path(),
  },
  layer: layerServers({
    nats: { servers: servers.nats.url, project: name, create: false },
    postgres: { url: Redacted.make(servers.postgres.url()), schema: name },
  }),
})

const EVERY_DAY = { from: parseDay("0000-01-01")!, to: parseDay("9999-12-31")! }

/** Imports a file and projects it, as `import` does. */
const importing = (file: string) =>
  Effect.gen(function* () {
    const options = { format: "auto", map: {}, eventName: null, zone: TimeZone.utc } as const
    yield* importEvents(file, options)
    return yield* (yield* Projector).project()
  })

/** Every number of a read model, the settings and metrics that they follow from, and what waits beside the log. */
const content = Effect.gen(function* () {
  const readModel = yield* ReadModel
  const queries = yield* ReadModelQueries
  const measures = (yield* readModel.measures).filter(({ state }) => state === "live")
  const cells = yield* Effect.forEach([INTAKE, ...measures.map(({ id }) => id)], (id) =>
    Effect.map(queries.cells(id, EVERY_DAY), (all) =>
      all.map(({ day, item, stat, amount }) => `${day} ${item} ${stat} ${amount}`).toSorted(),
    ),
  )
  return {
    settings: yield* readModel.settings,
    metrics: measures.map(({ definition }) => definition),
    cells,
    quarantine: (yield* (yield* Quarantine).list(0, 1000)).map((line) => ({ ...line, id: 0 })),
    differences: (yield* verify()).differences,
  }
})

/** Opens a store, looks at it, imports more, and looks again. */
const lookTwice = <E>(layer: Layer.Layer<Store, E>, more: string) =>
  Effect.runPromise(
    Effect.gen(function* () {
      return { before: yield* content, projected: yield* importing(more), after: yield* content }
    }).pipe(Effect.provide(layer)),
  )

const MORE = [
  { id: "e20", event: "page_view", userId: "ada", timestamp: "2026-03-10T10:00:00Z", properties: { path: "/home" } },
  // Of a device that is known, and so of a person that is.
  { id: "e21", event: "purchase", anonymousId: "d1", timestamp: "2026-03-10T11:00:00Z", properties: { amount: 5 } },
  // A repeat of one that came with the archive.
  JOURNEY[0],
]

test("from the embedded default to servers are two commands, and every number is the same", async () => {
  const events = here.write("journey.ndjson", [...JOURNEY, "{ broken"])
  const metrics = here.write("metrics.yaml", METRICS)
  const layer = layerEmbedded({ directory: embedded })
  await Effect.runPromise(
    Effect.gen(function* () {
      yield* applyMetrics(metrics)
      yield* recordSettings({ timeZone: "Europe/Berlin" })
      yield* importing(events)
    }).pipe(Effect.provide(layer)),
  )
  const archive = here.path("archive")
  expect(await ok(["log", "export", archive, "--dir", embedded])).toMatch(
    /^records +3\nevents +16\ncontrol facts +3\nquarantined +1\nfiles +3, 0\.0 MiB\n[\d,]+ events\/s, [\d.]+ s\n$/,
  )
  const moved = project("moved", 16)
  expect(await ok(["log", "import", archive], moved.options)).toMatch(
    /^partition .*\n.*\ncontrol +2 +3 +1 to 2 +1 to 2\n0 +1 +16 +1 to 1 +1 to 1\nquarantined +1\n.*events\/s.*\nThe read model is made from it\.\n$/,
  )
  const more = here.write("more.ndjson", MORE)
  const there = await lookTwice(moved.layer, more)
  expect(there).toEqual(await lookTwice(layer, more))
  expect(there.before).toMatchObject({ settings: { timeZone: "Europe/Berlin" }, differences: [] })
  expect(there.before.cells.flat().length).toBeGreaterThan(50)
  // What comes afterwards counts, and a repeat of what came with the archive does not.
  expect(there.projected).toMatchObject({ events: 3, duplicates: 1, conflicts: 0 })
  expect(there.after.differences).toEqual([])
})

test("from servers with several partitions to an embedded store, and on", async () => {
  const source = project("several", 3)
  await ok(["import", here.write("journey.ndjson", JOURNEY)], source.options)
  const archive = here.path("several")
  const exported = await okJson(["log", "export", archive], source.options)
  expect(exported).toMatchObject({ format: "batches", partitions: 3, events: 16, quarantined: 0 })
  // A store that isn't there yet is made with as many partitions.
  const directory = here.path("restored")
  const imported = await okJson(["log", "import", archive, "--dir", directory])
  expect(imported).toMatchObject({ events: 16, alreadyThere: 0, waiting: null })
  expect(imported.incarnation.from).toBe(exported.incarnation)
  expect(imported.incarnation.to).not.toBe(exported.incarnation)
  // JetStream numbers all partitions together, the embedded log each by itself.
  for (const { to, records } of imported.partitions) expect(to).toEqual({ first: 1, last: records })
  const lasts = imported.partitions.map(({ from }: any) => from.last)
  expect(new Set(lasts).size).toBe(lasts.length)

  const more = here.write("more.ndjson", MORE)
  const there = await lookTwice(layerEmbedded({ directory }), more)
  expect(there).toEqual(await lookTwice(source.layer, more))
  expect(there.after.differences).toEqual([])
})

describe("what can't be", () => {
  test("to export where there is no store", async () => {
    const nowhere = here.path("nowhere")
    expect(await refused(3, ["log", "export", here.path("none"), "--dir", nowhere])).toMatch(/^There is no store in /)
    expect(existsSync(here.path("none"))).toBe(false)
  })

  test("to export to where nothing can be written", async () => {
    const file = here.write("file", "")
    expect(await refused(1, ["log", "export", join(file, "x"), "--dir", embedded])).toMatch(
      /^Could not write .*: a part of the path is a file, not a directory\. The export is not finished/,
    )
  })

  test("to import what is no archive, or a newer one, and no store is made", async () => {
    const target = ["--dir", here.path("untouched")]
    expect(await refused(2, ["log", "import", here.path("nothing"), ...target])).toMatch(/there is no such directory/)
    const newer = here.copy(here.path("archive"), "newer")
    const manifest = join(newer, "manifest.json")
    const text = readFileSync(manifest, "utf8")
    writeFileSync(manifest, text.replace(`"version": 1`, `"version": 7`))
    expect(await refused(3, ["log", "import", newer, ...target])).toMatch(/has format 7; .* Upgrade Tidemark\./)
    writeFileSync(manifest, text.replace(`"events": 16`, `"events": 17`))
    expect(await refused(2, ["log", "import", newer, ...target])).toMatch(/manifest\.json does not match its checksum/)
    expect(existsSync(here.path("untouched"))).toBe(false)
  })

  test("to import into a store that holds something else", async () => {
    expect(await refused(2, ["log", "import", here.path("archive"), "--dir", embedded])).toMatch(
      /^An archive goes into an empty log, .*; this one goes on after the archive's end, up to 0\/2\. Nothing was written\./,
    )
  })
})

test("events for other tools are no archive, and `import` reads them back", async () => {
  const events = here.path("events")
  await ok(["log", "export", events, "--format", "ndjson", "--dir", embedded])
  const store = await here.store("read-back")
  expect(await refused(2, ["log", "import", events, "--dir", store])).toMatch(
    /it holds events as NDJSON, for other tools\. .* "tidemark import \S+\/partition-\*" reads these back as events\./,
  )
  const files = readdirSync(events).filter((name) => name.startsWith("partition-"))
  const report = await okJson(["import", ...files.map((name) => join(events, name)), "--dir", store])
  expect(report).toMatchObject({ read: 19, accepted: 19, rejected: 0, duplicates: 2, conflicts: 0 })
})
