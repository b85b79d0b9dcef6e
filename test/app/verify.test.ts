import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { rebuild } from "../../src/app/change/rebuild.ts"
import { decision, record, recordDefinitions } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import type { Store } from "../../src/app/store.ts"
import { verify, type VerifyOptions } from "../../src/app/verify/verify.ts"
import { explainDifference } from "../../src/app/verify/explainDifference.ts"
import { simulate } from "../../src/domain/simulate/simulate.ts"
import type * as compile from "../../src/domain/measure/compile.ts"
import type { Measure } from "../../src/domain/measure/Measure.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { accept } from "../support/accept.ts"
import { emptyStore } from "../support/cli.ts"

/** The metric whose measure has a flaw on purpose: it overlooks one event. */
const FLAWED = "flawed"
const OVERLOOKED = "the-overlooked-one"

vi.mock("../../src/domain/measure/compile.ts", async (original) => {
  const { compileMeasure } = await original<typeof compile>()
  return {
    compileMeasure: (...args: Parameters<typeof compileMeasure>): Measure => {
      const measure = compileMeasure(...args)
      if (measure.definition.name !== FLAWED) return measure
      const { observe, tally } = measure
      return {
        ...measure,
        observe: (event) => (event.sessionId === OVERLOOKED ? null : observe(event)),
        tally: (event, ...rest) => {
          if (event.sessionId !== OVERLOOKED) tally!(event, ...rest)
        },
      }
    },
  }
})

const directory = mkdtempSync(join(tmpdir(), "tidemark-verify-"))
const runtime = ManagedRuntime.make(layerEmbedded({ directory, partitions: 2 }))
const run = <A, E>(effect: Effect.Effect<A, E, Store>) => runtime.runPromise(effect)
const verified = (options?: VerifyOptions) => run(verify(options))

const project = Projector.use((projector) => projector.project())
const append = (events: ReadonlyArray<ReturnType<typeof accept>>) => LogWriter.use((writer) => writer.append(events))

const events = Array.from(simulate({ users: 25, days: 12, seed: 5 }), (raw) => accept(raw))

beforeAll(async () => {
  for (const place of ["", "as-of/1", "as-of/2"]) {
    cpSync(join(await emptyStore(), "postgres"), join(directory, place, "postgres"), { recursive: true })
  }
  await run(
    Effect.gen(function* () {
      yield* append(events)
      yield* recordDefinitions([
        {
          name: "revenue",
          version: 1,
          filter: { events: ["purchase"] },
          formula: { kind: "property-sum", property: "properties.amount" },
        },
      ])
      yield* project
    }),
  )
}, 120_000)

afterAll(async () => {
  await runtime.dispose()
  rmSync(directory, { recursive: true, force: true })
})

describe("verify", { timeout: 60_000 }, () => {
  test("compares everything, some metrics, some days, or a sample of days", async () => {
    const all = await verified()
    expect(all).toMatchObject({ events: events.length, days: null, differences: [] })
    const sessions = await verified({ metrics: ["sessions"] })
    const both = await verified({ metrics: ["sessions", "active_users", "sessions"] })
    expect(sessions.differences.length + both.differences.length).toBe(0)
    expect(sessions.cells).toBeLessThan(both.cells)
    expect(both.cells).toBeLessThan(all.cells)

    const firstDays = await verified({ to: "2026-01-08" })
    const lastDays = await verified({ from: "2026-01-09" })
    expect(firstDays.differences.length + lastDays.differences.length).toBe(0)
    expect(firstDays.cells + lastDays.cells).toBe(all.cells)

    const sample = await verified({ sample: "2" })
    expect(sample.differences).toEqual([])
    expect(sample.days).toHaveLength(2)
    const [first, last] = await Promise.all(sample.days!.map((day) => verified({ from: day, to: day })))
    expect(first!.cells + last!.cells).toBe(sample.cells)
    expect(await verified({ sample: "2" })).toEqual(sample)
    expect((await verified({ from: "2026-01-06", to: "2026-01-09", sample: "50%" })).days).toHaveLength(2)
  })

  test.each([
    [{ metrics: ["session"] }, /no metric "session".*Did you mean "sessions"/],
    [{ sample: "0" }, /"0" is no sample.*10%.*7\./],
    [{ sample: "101%" }, /"101%" is no sample/],
    [{ from: "2026-01-09", to: "2026-01-08" }, /runs backwards/],
  ])("refuses %j", async (options, why) => {
    expect((await run(Effect.flip(verify(options)))).message).toMatch(why)
  })

  test("holds for one place in the log while projection goes on", async () => {
    const more = Array.from(simulate({ users: 5, days: 3, seed: 6 }), (raw) => accept(raw))
    const later = Effect.andThen(append(more), project)
    const [compared] = await run(Effect.all([verify(), later], { concurrency: 2 }))
    expect(compared.differences).toEqual([])
    const after = await verified()
    expect(after).toMatchObject({ events: events.length + more.length, differences: [] })
    expect(after.asOf.cut).not.toBe(compared.asOf.cut)
  })
})

describe("a difference", { timeout: 60_000 }, () => {
  const originOf = async (options?: VerifyOptions) => {
    const { differences, asOf } = await verified(options)
    return run(explainDifference(differences[0]!, asOf.cut))
  }

  test("that a replay does not have is of the tables", async () => {
    const change = (amount: number) =>
      run(
        SqlClient.SqlClient.use(
          (sql) =>
            sql`UPDATE cells SET amount = amount + ${amount}::int WHERE day = '2026-01-07' AND stat = 'sessions'`,
        ),
      )
    await change(3)
    const { differences } = await verified()
    expect(differences).toMatchObject([{ metric: "sessions", date: "2026-01-07", stat: "sessions" }])
    expect((await verified({ metrics: ["active_users"] })).differences).toEqual([])
    expect((await verified({ from: "2026-01-08" })).differences).toEqual([])
    const origin = await originOf()
    expect(origin).toEqual({ difference: differences[0], replay: differences[0]!.oracle, event: null })
    await change(-3)
  })

  test("names the build that has it, among several of one metric", async () => {
    const clicks = (version: number, event: string): MetricDefinition => ({
      name: "clicks",
      version,
      filter: { events: [event] },
      formula: { kind: "event-count" },
    })
    await run(
      Effect.gen(function* () {
        yield* recordDefinitions([clicks(1, "click")])
        yield* project
        const body = { definition: clicks(2, "page_view"), promote: "when-asked", ...decision() } as const
        yield* record([{ name: "metric_applied", body }])
        yield* project
        yield* rebuild({ metrics: ["clicks"] })
      }),
    )
    const sound = await verified({ metrics: ["clicks", "clicks@2", "clicks@1.2"] })
    const [first, second] = await Promise.all(["clicks@1.2", "clicks@2"].map((name) => verified({ metrics: [name] })))
    expect(sound).toMatchObject({ cells: first!.cells + second!.cells, differences: [] })

    const added = (amount: number) =>
      run(
        SqlClient.SqlClient.use(
          (sql) =>
            sql`UPDATE cells SET amount = amount + ${amount}::int WHERE day = '2026-01-07' AND measure IN (
              SELECT id FROM measures WHERE metric = 'clicks' AND state <> 'dropped')`,
        ),
      )
    await added(100)
    const { differences, asOf } = await verified({ metrics: ["clicks@2", "clicks"] })
    expect(differences.map(({ metric, version, build }) => [metric, version, build])).toEqual([
      ["clicks", 2, "clicks@2"],
      ["clicks", 1, "clicks@1.2"],
    ])
    expect(differences[0]!.oracle).not.toBe(differences[1]!.oracle)
    for (const difference of differences) {
      const origin = await run(explainDifference(difference, asOf.cut))
      expect(origin).toEqual({ difference, replay: difference.oracle, event: null })
    }
    await added(-100)
  })

  test("that a replay has too begins with an event, which is found", async () => {
    // In the middle of a batch of its own partition, with others before and after it.
    const time = "2026-01-06T12:00:00Z"
    const plain = Array.from({ length: 9 }, (_, n) => accept({ event: "odd", userId: `u${n}`, timestamp: time }))
    const flaw = accept({ event: "odd", userId: "u4", timestamp: time, sessionId: OVERLOOKED, id: "e-flaw" })
    await run(
      Effect.gen(function* () {
        yield* recordDefinitions([
          { name: FLAWED, version: 1, filter: { events: ["odd"] }, formula: { kind: "event-count" } },
        ])
        yield* append([...plain.slice(0, 5), flaw, ...plain.slice(5)])
        yield* append(plain.map((event) => ({ ...event, id: `again-${event.id}` })))
        yield* project
      }),
    )
    const { differences } = await verified()
    expect(differences).toEqual([
      {
        metric: FLAWED,
        version: 1,
        build: `${FLAWED}@1`,
        date: "2026-01-06",
        item: "",
        stat: "events",
        readModel: "18",
        oracle: "19",
      },
    ])
    const { replay, event } = await originOf()
    expect(replay).toBe("18")
    expect(event).toMatchObject({ id: "e-flaw", name: "odd", time: "2026-01-06T12:00:00.000Z" })
    expect(Number(event!.oracle)).toBe(Number(event!.engine ?? 0) + 1)
  })
})
