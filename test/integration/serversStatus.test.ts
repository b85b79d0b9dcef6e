import { Effect, type Layer, ManagedRuntime, Redacted } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { formatStatus } from "../../src/app/cli/showStatus.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { layerServers, type ServersError } from "../../src/app/servers.ts"
import { status } from "../../src/app/status/status.ts"
import type { Store } from "../../src/app/store.ts"
import { COORDINATOR } from "../../src/app/worker/coordinator.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { CONTROL_PARTITION } from "../../src/domain/log/EventLog.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { type WorkerReport, WorkerReports } from "../../src/domain/projection/WorkerReports.ts"
import { type Servers, startServers } from "../support/servers.ts"

let servers: Servers
beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers.dispose())

let projects = 0
let runtime: ManagedRuntime.ManagedRuntime<Store, ServersError>
afterEach(() => runtime.dispose())

/** Runs a story in a new project of two partitions. */
const inProject = <A, E>(story: Effect.Effect<A, E, Store>): Promise<A> => {
  const project = `status_${++projects}`
  const layer: Layer.Layer<Store, ServersError> = layerServers({
    nats: { servers: servers.nats.url, project, partitions: 2 },
    postgres: { url: Redacted.make(servers.postgres.url()), schema: project },
  })
  runtime = ManagedRuntime.make(layer)
  return runtime.runPromise(story)
}

const NOW = Date.parse("2026-03-02T10:00:00Z")

const event = (id: string, userId: string): Event => ({
  id,
  kind: "track",
  name: "page_view",
  userId,
  anonymousId: null,
  sessionId: null,
  time: NOW,
  timestamp: NOW,
  sentAt: null,
  receivedAt: NOW,
  warnings: [],
  body: {},
})

const events = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => event(`e${from + n}`, `user-${(from + n) % 7}`))

const append = (batch: ReadonlyArray<Event>) => LogWriter.use((writer) => writer.append(batch))
const project = Projector.use((projector) => projector.project())
const liveOf = Effect.map(status(), ({ groups, ...rest }) => ({ ...rest, live: groups[0]!, groups }))

describe("status on servers", () => {
  test("a group that never started is behind by all there is, event by event", async () => {
    await inProject(
      Effect.gen(function* () {
        yield* append(events(0, 50))
        const { live, balance } = yield* liveOf
        expect(live).toMatchObject({ group: "live", lag: { events: 50, exact: true } })
        expect(live.lag.seconds).toBeGreaterThan(0)
        for (const it of live.partitions) {
          expect(it).toMatchObject({ position: null, owner: null, phase: null, committedAt: null, lastError: null })
          expect(it.target).toMatchObject({ partition: it.partition })
          expect(it.lag.events).toBeGreaterThan(0)
        }
        expect(balance).toMatchObject({ accepted: 50, projected: 0, duplicates: 0, lag: 50, exact: true })
      }),
    )
  })

  test("what is projected is not behind, and what comes after it is: counted from the records between", async () => {
    await inProject(
      Effect.gen(function* () {
        yield* append([...events(0, 40), event("e1", "user-1")])
        yield* project
        const done = yield* liveOf
        expect(done.live.lag).toEqual({ events: 0, exact: true, seconds: 0 })
        expect(done.balance).toMatchObject({ accepted: 41, projected: 40, duplicates: 1, lag: 0 })
        for (const it of done.live.partitions) {
          expect(it.position).toEqual(it.target)
          expect(it.owner).toContain(String(process.pid))
          expect(Date.parse(it.committedAt!)).toBeGreaterThanOrEqual(Date.parse(it.claimedAt!))
        }
        for (let n = 40; n < 70; n += 5) yield* append(events(n, n + 5))
        expect((yield* liveOf).balance).toMatchObject({ accepted: 71, projected: 40, lag: 30, exact: true })
      }),
    )
  })

  test("a long way behind is estimated, and says so", async () => {
    await inProject(
      Effect.gen(function* () {
        yield* append(events(0, 10))
        yield* project
        // One partition gets 300 records of three events, the other one.
        for (let n = 0; n < 300; n++) {
          yield* append([0, 1, 2].map((part) => event(`many-${n}-${part}`, "user-1")))
        }
        const { live, balance } = yield* liveOf
        expect(live.lag.exact).toBe(false)
        expect(balance).toMatchObject({ exact: false, holds: null })
        expect(live.lag.events).toBeGreaterThan(700)
        expect(live.lag.events).toBeLessThan(1100)
        expect(live.partitions.filter(({ lag }) => lag.exact)).toHaveLength(1)
      }),
    )
  })

  test("a build that nobody has begun is a group of its own, all of it to come", async () => {
    await inProject(
      Effect.gen(function* () {
        yield* append(events(0, 20))
        yield* project
        yield* recordDefinitions([
          { name: "views", version: 1, formula: { kind: "active-users" }, filter: { events: ["page_view"] } },
        ])
        yield* prepare
        const { groups } = yield* liveOf
        expect(groups.map(({ group, lag }) => [group.replace(/\d+/, "N"), lag.events])).toEqual([
          ["live", 0],
          ["build-N", 20],
        ])
      }),
    )
  })

  test("what the coordinator can't go on from is said, and shown", async () => {
    await inProject(
      Effect.gen(function* () {
        const operations = yield* Operations
        expect((yield* status()).coordinator).toBeNull()
        const sentence = "The log holds a control fact of a newer version."
        yield* operations.stop({ group: COORDINATOR, partition: CONTROL_PARTITION, owner: "w", sentence })
        const found = yield* status()
        expect(found.coordinator).toMatchObject({ sentence })
        expect(formatStatus(found)).toContain(
          `The coordinator can't go on, since ${found.coordinator!.since}: ${sentence}`,
        )
        yield* operations.goOn(COORDINATOR, CONTROL_PARTITION)
        expect((yield* status()).coordinator).toBeNull()
      }),
    )
  })

  test("owners say what they do, how fast and what is wrong; one that has fallen silent is gone", async () => {
    await inProject(
      Effect.gen(function* () {
        yield* append(events(0, 20))
        yield* project
        const reports = yield* WorkerReports
        const owner = (yield* liveOf).live.partitions[0]!.owner!
        const report: WorkerReport = {
          group: "live",
          partition: 0,
          phase: "waiting",
          eventsPerSecond: 12.5,
          trouble: { sentence: "PostgreSQL was \u0000 away", since: NOW },
        }
        yield* reports.publish(owner, [report, { ...report, partition: 1, phase: "running", trouble: null }])
        yield* reports.publish("somebody else", [report])
        const [first, second] = (yield* liveOf).live.partitions
        expect(first).toMatchObject({
          phase: "waiting",
          eventsPerSecond: 12.5,
          lastError: { sentence: "PostgreSQL was \u0000 away", since: "2026-03-02T10:00:00.000Z" },
        })
        expect(second).toMatchObject({ phase: "running", lastError: null })
        // What it says now is all that it says.
        yield* reports.publish(owner, [report])
        expect((yield* liveOf).live.partitions[1]).toMatchObject({ phase: null })
        yield* Effect.promise(() =>
          servers.postgres.query(
            `UPDATE status_${projects}.worker_reports SET reported_at = now() - interval '1 minute'`,
          ),
        )
        expect((yield* liveOf).live.partitions[0]).toMatchObject({ phase: "gone", eventsPerSecond: null })
      }),
    )
  })
})
