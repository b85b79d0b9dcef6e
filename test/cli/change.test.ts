import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { compare } from "../../src/app/change/compare.ts"
import { drop } from "../../src/app/change/drop.ts"
import { promote, rollBack } from "../../src/app/change/promote.ts"
import { BUILDS_MAX, rebuild } from "../../src/app/change/rebuild.ts"
import { toCliFailure } from "../../src/app/cli/failure.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { retireMetric } from "../../src/app/metrics/retireMetric.ts"
import { listMetrics } from "../../src/app/metrics/versions.ts"
import { metric } from "../../src/app/query/metric.ts"
import { status } from "../../src/app/status/status.ts"
import type { Store } from "../../src/app/store.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { ok, okJson, refused, scratch } from "../support/cli.ts"
import { openStore, type TestStore } from "../support/store.ts"

/** What can't be changed as it is asked for is refused in a sentence, and changes nothing. */

const clicks = (version: number, ...names: ReadonlyArray<string>) =>
  `name: clicks\nversion: ${version}\nfilter: { events: [${names.join(", ")}] }\nformula: { kind: event-count }\n`

const EVENTS = ["click", "view", "click", "buy"].map((event, n) =>
  JSON.stringify({ id: `e${n}`, event, userId: `user ${n % 2}`, timestamp: "2026-03-01T12:00:00Z" }),
)

describe("builds of a metric", () => {
  let store: TestStore
  const run = <A, E>(effect: Effect.Effect<A, E, Store>) => store.run(effect)
  const file = async (name: string, text: string) => store.write(name, [text])

  beforeAll(async () => {
    store = await openStore()
    await store.import(await store.write("events.ndjson", EVENTS))
    await run(applyMetrics(await file("one.yaml", clicks(1, "click"))))
  })
  afterAll(() => store.close())

  const builds = async () =>
    (await run(ReadModel.use(({ measures }) => measures)))
      .filter(({ definition }) => definition.name === "clicks")
      .map(({ definition: { version }, build, state }) => `${version}.${build} ${state}`)

  /** Checks that an attempt is refused, and has changed nothing; the sentence. */
  const refusal = async (
    tag: string,
    attempt: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, Store>,
  ) => {
    const before = await builds()
    const error = await run(Effect.flip(attempt))
    expect(error._tag).toBe(tag)
    expect(toCliFailure(error).code).toBe(tag === "Unexplained" ? 1 : 2)
    expect(await builds()).toEqual(before)
    return error.message
  }

  const total = async () => (await run(metric("clicks"))).totals.map(({ stat, amount }) => `${stat} ${amount}`).join()

  test("that are not there can't be compared, promoted, gone back to or dropped", async () => {
    expect(await refusal("NoSuchBuild", compare("clicks@7"))).toBe(
      "Nothing was changed: clicks@7 names no build beside the one that is live. There are: clicks@1 (live).",
    )
    expect(await refusal("NoSuchBuild", promote("nobody@2"))).toMatch(/There are no builds of it\.$/)
    expect(await refusal("NoSuchBuild", rollBack("clicks"))).toMatch(
      /names no metric with an earlier build to go back to/,
    )
    expect(await refusal("NoSuchBuild", drop("clicks@1.9"))).toMatch(
      /^Nothing was changed: clicks@1\.9 names no build\./,
    )
    expect(await refusal("NoSuchBuild", rebuild({ metrics: ["nobody"] }))).toMatch(
      /nobody names no metric with cells of its own that is live/,
    )
    for (const unreadable of ["", "Clicks", "clicks@", "clicks@two", "clicks@1.2.3", "clicks@-1", "a b"]) {
      expect(await refusal("NoSuchBuild", promote(unreadable))).toMatch(
        /names no build \(NAME, NAME@2 or NAME@2\.3\)\./,
      )
    }
  })

  test("that are not through can't be promoted or compared", async () => {
    await run(
      Effect.gen(function* () {
        yield* recordDefinitions([{ name: "other", version: 1, formula: { kind: "event-count" } }])
        yield* prepare
      }),
    )
    expect(await refusal("NotReady", promote("other"))).toMatch(
      /^other@1 is still being built\. .*"tidemark metrics drop other@1"/,
    )
    expect(await refusal("NotReady", compare("other@1"))).toMatch(/still being built/)
    // It is all there is of the metric, and asked for: only with the metric it ends.
    expect(await refusal("StillLive", drop("other"))).toMatch(
      /it is to answer queries as soon as it is built\..*retire other/,
    )
    await run(Effect.andThen(retireMetric("other"), prepare))
    expect((await run(status())).groups).toHaveLength(1)
  })

  test("that are being built beside what answers can be given up, which ends that", async () => {
    const { made, rebuild: begin } = await run(ReadModel)
    await run(Effect.flatMap(made, (made) => begin([1], made!)))
    expect((await run(status())).groups).toHaveLength(2)
    expect(await run(drop("active_users@1.2"))).toBe("active_users@1.2")
    expect((await run(status())).groups).toHaveLength(1)
  })

  test("that answer can't be dropped, and what was dropped can't be gone back to", async () => {
    const two = await file("two.yaml", clicks(2, "click", "view"))
    const { comparisons, promoted, waiting } = await run(applyMetrics(two, { promote: false }))
    expect([promoted, waiting]).toEqual([[], ["clicks@2"]])
    expect(comparisons).toMatchObject([{ live: "clicks@1", build: "clicks@2", expect: "different", differing: 1 }])
    expect(await refusal("StillLive", drop("clicks@1"))).toMatch(/^clicks@1 was not dropped: it answers queries\./)
    expect(await total()).toBe("events 2")
    expect(await run(promote("clicks"))).toMatchObject({ live: "clicks@2", replaced: "clicks@1" })
    expect(await refusal("AlreadyLive", promote("clicks"))).toMatch(/clicks@2 is live already/)
    expect(await refusal("AlreadyLive", promote("clicks@2"))).toBe("Nothing was changed: clicks@2 is live already.")
    expect(await total()).toBe("events 3")
    // Made anew, what is live is registered first; the newest is still the latest version.
    await run(Projector.use((projector) => projector.rebuild()))
    expect(await refusal("AlreadyLive", promote("clicks"))).toMatch(/clicks@2 is live already/)
    expect(await refusal("StillLive", drop("clicks"))).toMatch(/^clicks@2 was not dropped/)
    expect(await run(rollBack("clicks"))).toEqual({ live: "clicks@1", replaced: "clicks@2" })
    expect(await run(drop("clicks@2"))).toBe("clicks@2")
    expect(await refusal("NoSuchBuild", rollBack("clicks"))).toMatch(/There are: clicks@1 \(live\)\.$/)
    expect(await refusal("NoSuchBuild", promote("clicks@2"))).toMatch(/There are: clicks@1 \(live\)\.$/)
    // Applied once more it is the same, and stays given up.
    expect(await run(applyMetrics(two))).toMatchObject({ applied: [{ outcome: "passed-over" }], promoted: [] })
    expect(await total()).toBe("events 2")
  })

  test("that were expected to be the same are promoted only if they are, or if somebody accepts it", async () => {
    const three = await file("three.yaml", `${clicks(3, "click", "buy")}expect: same\n`)
    expect(await refusalOfApply(three)).toMatch(
      /^clicks@3 was not promoted: 1 of its cells differ from those of clicks@1, and they were expected to be the same\./,
    )
    expect(await builds()).toEqual(["1.1 live", "3.1 ready"])
    expect(await refusal("Unexplained", promote("clicks@3"))).toMatch(/"tidemark metrics promote clicks@3 --accept"/)
    expect(await run(promote("clicks@3", { accept: true }))).toMatchObject({ live: "clicks@3" })
    expect(await total()).toBe("events 3")
  })

  const refusalOfApply = async (path: string) => {
    const error = await run(Effect.flip(applyMetrics(path)))
    expect(error._tag).toBe("Unexplained")
    return error.message
  }

  test("that a rebuild made differ where cells were tampered with, and are promoted when that is accepted", async () => {
    const tamper = SqlClient.SqlClient.use(
      (sql) =>
        sql`UPDATE cells SET amount = amount + 7 WHERE measure = (
          SELECT id FROM measures WHERE metric = 'clicks' AND state = 'live')`,
    )
    await run(tamper)
    expect(await total()).toBe("events 10")
    const error = await run(Effect.flip(rebuild({ metrics: ["clicks"] })))
    expect(error.message).toMatch(/^clicks@3\.2 was not promoted: 1 of its cells differ from those of clicks@3,/)
    expect(await total()).toBe("events 10")
    const { comparisons, promoted } = await run(rebuild({ metrics: ["clicks"], accept: true }))
    expect([promoted, comparisons]).toMatchObject([true, [{ differing: 1, biggest: [{ before: "10", after: "3" }] }]])
    expect(await total()).toBe("events 3")
    // What differed is kept, and named.
    expect(await builds()).toEqual(["1.1 detached", "3.1 detached", "3.2 live"])
    expect(await run(promote("clicks@3.1", { accept: true }))).toMatchObject({ live: "clicks@3" })
    expect(await run(rollBack("clicks"))).toEqual({ live: "clicks@3.2", replaced: "clicks@3" })
    expect(await run(drop("clicks@3.1"))).toBe("clicks@3")
  })

  test("one that is named answers, also where its version has a newer build", async () => {
    await run(rebuild({ metrics: ["clicks"], promote: false }))
    await run(promote("clicks@1"))
    expect(await builds()).toEqual(["1.1 live", "3.2 detached", "3.3 ready"])
    expect(await run(rollBack("clicks"))).toMatchObject({ live: "clicks@3.2" })
    expect(await builds()).toEqual(["1.1 detached", "3.2 live", "3.3 ready"])
    await run(drop("clicks@3.3"))
  })

  test("of some days are not taken for one of all days, and persons can't be built for some", async () => {
    expect(await refusal("NotDayByDay", rebuild({ metrics: ["sessions"], days: { from: "2026-03-01" } }))).toMatch(
      /sessions counts persons/,
    )
    const days = { from: "2026-03-01", to: "2026-03-01" }
    const { comparisons } = await run(rebuild({ metrics: ["clicks"], days, promote: false }))
    expect(comparisons).toMatchObject([{ days, differing: 0 }])
    const { build } = comparisons[0]!
    for (const other of [{}, { days: { from: "2026-03-01", to: "2026-03-02" } }]) {
      expect(await refusal("BuiltForOtherDays", rebuild({ metrics: ["clicks"], ...other }))).toContain(
        `${build} is under way or ready, and is built for the days from 2026-03-01 to 2026-03-01 only.`,
      )
    }
    expect(await run(rebuild({ metrics: ["clicks"], days }))).toMatchObject({ promoted: true })
    const all = await run(rebuild({ metrics: ["clicks"] }))
    expect(all).toMatchObject({ promoted: true, comparisons: [{ days: null, differing: 0 }] })
  })

  test("a built-in metric stays when a rebuild of it is given up", async () => {
    await run(rebuild({ metrics: ["sessions"], promote: false }))
    expect(await run(drop("sessions@1.2"))).toBe("sessions@1.2")
    const listed = await run(listMetrics())
    expect(listed.find(({ definition }) => definition.name === "sessions")).toMatchObject({ state: "live" })
  })

  test(`not more than ${BUILDS_MAX} are built at once`, async () => {
    await run(
      Effect.gen(function* () {
        const { measures, rebuild, made } = yield* ReadModel
        const live = (yield* measures).filter(({ state }) => state === "live")
        for (const { id } of live.slice(0, BUILDS_MAX)) yield* rebuild([id], (yield* made)!)
      }),
    )
    expect(await refusal("TooManyBuilds", rebuild({ metrics: ["clicks"] }))).toMatch(
      /^Nothing was begun: 4 builds are under way already/,
    )
    // Those that are under way are seen, go on with the next projection, and then there is room.
    const { groups } = await run(status())
    expect(groups).toHaveLength(1 + BUILDS_MAX)
    await store.project()
    expect(await run(rebuild({ metrics: ["clicks"] }))).toMatchObject({ promoted: true })
  })
})

describe("the program", () => {
  const here = scratch()
  afterAll(() => here.remove())

  test("promotes, goes back, and refuses in a sentence", async () => {
    const at = ["--dir", await here.store("change")]
    await ok(["import", here.write("events.ndjson", EVENTS), ...at])
    await ok(["metrics", "apply", here.write("one.yaml", clicks(1, "click")), ...at])
    await ok(["metrics", "apply", here.write("two.yaml", clicks(2, "view")), "--no-promote", ...at])
    expect(await ok(["metrics", "promote", "clicks@2", "--why", "views count", ...at])).toMatch(
      /^clicks@2 beside clicks@1: 0 cells are equal, 1 changed[^]*clicks@2 is live\. "tidemark metrics rollback clicks" goes/,
    )
    expect(await okJson(["metrics", "rollback", "clicks", ...at])).toEqual({ live: "clicks@1", replaced: "clicks@2" })
    expect(await refused(2, ["metrics", "drop", "clicks@1", ...at])).toMatch(/it answers queries/)
  })
})
