import { deepStrictEqual } from "node:assert"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../../src/domain/metric/definition.ts"
import { LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { TEXTS, RANGE, position, checkpoint, stepOf, cellStep, dump } from "./fixtures.ts"
import type { World } from "./world.ts"

/** Versions of metrics: registered, built, promoted. */
export const metricsContract = (world: World): void => {
  const { run, epochs, committing, commit, countAll, failureOf } = world

  describe("metrics", () => {
    const metric = (version: number, over: Partial<MetricDefinition> = {}): MetricDefinition => ({
      name: "clicks",
      version,
      formula: { kind: "event-count" },
      ...over,
    })

    /** The version that was registered last. */
    const register = async (...definitions: ReadonlyArray<MetricDefinition>) =>
      (await run(world.readModel.register(definitions))).at(-1)!
    const statesOf = async () => (await run(world.readModel.measures)).map(({ id, state, group }) => [id, state, group])
    /** Another owner of the default group, and so another epoch. */
    const claimAnew = () => epochs.clear()

    test("are registered once, with definitions that come back as they went in, and live at once while nothing is projected", async () => {
      // A claim alone projects nothing.
      await run(world.readModel.claim(LIVE_GROUP, 0, "one"))
      const odd = metric(1, { description: TEXTS.join(), filter: { events: [...TEXTS.slice(2)] } })
      const first = await run(world.readModel.register([odd, BUILTIN_METRICS.sessions]))
      expect(first.map(({ state, group }) => [state, group])).toEqual([
        ["live", LIVE_GROUP],
        ["live", LIVE_GROUP],
      ])
      deepStrictEqual(
        first.map(({ definition }) => definition),
        [odd, BUILTIN_METRICS.sessions],
      )
      expect(await run(world.readModel.register([metric(1), BUILTIN_METRICS.sessions]))).toEqual(first)
      expect(await run(world.readModel.measures)).toEqual(first)
      const versions = await run(world.readModel.register([metric(2)]))
      expect(versions.map(({ definition: { name, version }, state }) => [name, version, state])).toEqual([
        ["clicks", 1, "live"],
        ["sessions", 1, "live"],
        ["clicks", 2, "ready"],
      ])
    })

    test("that the control facts tell of are there after the tables were emptied as they were before", async () => {
      const since = Date.parse("2026-03-01T12:00:00.250Z")
      const answered = (version: number) => metric(version, { description: "answered" })
      const definitions = [metric(5), answered(2), metric(3), BUILTIN_METRICS.sessions]
      const versions = await run(
        world.readModel.register(definitions, ({ version, description }) =>
          description === "answered" ? since + version : null,
        ),
      )
      expect(versions.map(({ state, liveSince }) => [state, liveSince])).toEqual([
        ["live", expect.any(Number)],
        ["detached", since + 2],
        ["ready", null],
        ["live", expect.any(Number)],
      ])
      const [, , , , next] = await run(world.readModel.register([answered(7)], () => since))
      expect(next).toMatchObject({ state: "detached", liveSince: since })
      await commit(stepOf(1))
      const [, , , , , built] = await run(world.readModel.register([answered(8)], () => since))
      expect(built).toMatchObject({ state: "building", liveSince: null })
    })

    test("are live one at a time, also where several versions of a metric are built together", async () => {
      await register(BUILTIN_METRICS.sessions)
      await commit(stepOf(1))
      const { group } = await register(metric(3), metric(2), metric(5))
      await commit(stepOf(1, { group }))
      await countAll(group)
      expect(await run(world.readModel.adopt(group))).toBe(true)
      const states = (await run(world.readModel.measures)).map(({ definition: { version }, state }) => [version, state])
      expect(states.slice(1)).toEqual([
        [3, "live"],
        [2, "ready"],
        [5, "ready"],
      ])
    })

    test("are built by a group of their own once something is projected, those that came together by one", async () => {
      const old = await register(metric(1))
      await commit(stepOf(1))
      const [, next, sessions] = await run(world.readModel.register([metric(2), BUILTIN_METRICS.sessions]))
      expect(next!.group).not.toBe(LIVE_GROUP)
      expect(sessions!.group).toBe(next!.group)
      const other = await register(BUILTIN_METRICS.activeUsers)
      expect([LIVE_GROUP, next!.group]).not.toContain(other.group)
      expect(await statesOf()).toEqual([
        [old.id, "live", LIVE_GROUP],
        [next!.id, "building", next!.group],
        [sessions!.id, "building", next!.group],
        [other.id, "building", other.group],
      ])
    })

    test("are ready beside their earlier versions, live where there was none, and their own checkpoints end", async () => {
      const [old] = await run(world.readModel.register([metric(1)]))
      await commit(stepOf(1))
      const [, next, sessions] = await run(world.readModel.register([metric(2), BUILTIN_METRICS.sessions]))
      await commit(stepOf(1, { group: next!.group }))
      await countAll(next!.group)
      expect(await run(world.readModel.adopt(next!.group))).toBe(true)
      const states = await statesOf()
      expect(states).toEqual([
        [old!.id, "live", LIVE_GROUP],
        [next!.id, "ready", LIVE_GROUP],
        [sessions!.id, "live", LIVE_GROUP],
      ])
      expect(await run(world.readModel.checkpoint(next!.group, 0))).toBeNull()
      expect((await run(world.readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
      // Once is enough; twice is no harm.
      await run(world.readModel.adopt(next!.group))
      expect(await statesOf()).toEqual(states)
    })

    const made = async () => (await run(world.readModel.made))!

    /** Version 1 live, version 2 ready. */
    const readyBeside = async () => {
      const old = await register(metric(1))
      await commit(stepOf(1))
      const next = await register(metric(2))
      await commit(stepOf(1, { group: next.group }))
      await countAll(next.group)
      await run(world.readModel.adopt(next.group))
      return { old, next }
    }

    test("answer one in place of the other, all that are asked for in one moment, and back", async () => {
      const { old, next } = await readyBeside()
      const views = (sql: string) => run(world.query(sql))
      await run(world.readModel.makeLive([next.id], await made()))
      expect(await statesOf()).toEqual([
        [old.id, "detached", LIVE_GROUP],
        [next.id, "live", LIVE_GROUP],
      ])
      expect(await views("SELECT version FROM measures WHERE state = 'live'")).toEqual([{ version: 2 }])
      const before = await run(dump)
      await run(world.readModel.makeLive([next.id, 99], await made()))
      expect(await run(dump)).toEqual(before)
      await run(world.readModel.makeLive([old.id], await made()))
      expect(await statesOf()).toEqual([
        [old.id, "live", LIVE_GROUP],
        [next.id, "detached", LIVE_GROUP],
      ])
    })

    test("are rebuilt as the next build of what is live, unless one is on its way", async () => {
      const { old, next } = await readyBeside()
      await run(world.readModel.rebuild([old.id, next.id], await made()))
      const [, , again] = await run(world.readModel.measures)
      expect(again).toMatchObject({ definition: metric(1), build: 2, state: "building" })
      const before = await run(dump)
      await run(world.readModel.rebuild([old.id], await made()))
      expect(await run(dump)).toEqual(before)
    })

    test("are rebuilt for some days, and take the cells of the others from what they are to replace", async () => {
      const live = await register(metric(1))
      const cellsOf = async (measure: number) =>
        (await run(world.queries.cells(measure, RANGE))).map(({ day, amount }) => [day, amount])
      const onDay = (day: number, amount: string) => ({
        day,
        item: "",
        stat: "events",
        amount,
        cause: "late-data" as const,
      })
      const counting = (
        sequence: number,
        measure: number,
        cells: ReadonlyArray<ReturnType<typeof onDay>>,
        group = LIVE_GROUP,
      ) =>
        commit(
          stepOf(sequence, {
            group,
            measures: [measure],
            changes: { identities: [], statements: [], measures: [{ facts: [], cells }] },
          }),
        )
      const days = [0, 1, 2, 3].map((n) => RANGE.from + n)
      await counting(
        1,
        live.id,
        days.map((day) => onDay(day, "5")),
      )
      await run(world.readModel.rebuild([live.id], await made(), { from: days[1]!, to: days[2]! }))
      const [, next] = await run(world.readModel.measures)
      expect(next).toMatchObject({ build: 2, days: { from: days[1], to: days[2] } })
      claimAnew()
      await counting(1, next!.id, [onDay(days[1]!, "7")], next!.group)
      await countAll(next!.group)
      expect(await run(world.readModel.adopt(next!.group))).toBe(true)
      expect((await run(world.readModel.measures))[1]).toMatchObject({
        state: "ready",
        days: { from: days[1], to: days[2] },
      })
      expect(await cellsOf(next!.id)).toEqual([
        [days[0], "5"],
        [days[1], "7"],
        [days[3], "5"],
      ])
    })

    test("that are dropped are no more, and what they have stored is deleted bit by bit", async () => {
      const { old, next } = await readyBeside()
      claimAnew()
      await commit(
        cellStep(
          2,
          [
            ["", "events", "1"],
            ["x", "events", "2"],
          ],
          { measures: [next.id] },
        ),
      )
      // One that answers meanwhile goes on.
      await run(world.readModel.drop([{ ...old, state: "ready" }], await made()))
      await run(world.readModel.drop([next], await made()))
      expect(await statesOf()).toEqual([[old.id, "live", LIVE_GROUP]])
      expect(await failureOf(committing(stepOf(3)))).toMatchObject({ _tag: "CheckpointConflict" })
      expect(await run(world.query(`SELECT count(*)::int AS n FROM cells WHERE measure = ${next.id}`))).toEqual([
        { n: 2 },
      ])
      const swept: Array<boolean> = []
      while (swept.at(-1) !== true) swept.push(await run(world.readModel.sweep(1)))
      expect(swept.length).toBeGreaterThan(2)
      expect(await run(world.query(`SELECT count(*)::int AS n FROM cells WHERE measure = ${next.id}`))).toEqual([
        { n: 0 },
      ])
      expect(await run(world.query("SELECT id FROM measures"))).toEqual([{ id: old.id }])
    })

    test("stay as they are where the tables were emptied since they were looked at", async () => {
      const { old, next } = await readyBeside()
      const before = await run(dump)
      await run(world.readModel.makeLive([next.id], "another"))
      await run(world.readModel.drop([next], "another"))
      await run(world.readModel.rebuild([old.id], "another"))
      expect(await run(dump)).toEqual(before)
    })

    test("are taken over only where the default group stands, in every partition", async () => {
      await register(metric(1))
      await commit(stepOf(1))
      await commit(stepOf(1, { partition: 1 }))
      const { group } = await register(metric(2))
      claimAnew()
      const refused = async () => {
        const before = await run(dump)
        expect(await run(world.readModel.adopt(group))).toBe(false)
        expect(await run(dump)).toEqual(before)
      }
      await refused()
      await commit(stepOf(1, { group }))
      await refused()
      await run(world.readModel.claim(group, 1, "one"))
      await refused()
      await commit(stepOf(1, { group, partition: 1 }))
      await commit(stepOf(2))
      await refused()
      await commit(stepOf(2, { group }))
      // Persons whose facts were only gathered so far must be counted.
      await refused()
      await countAll(group)
      // A partition of which nothing is projected keeps nobody waiting.
      await run(world.readModel.claim(LIVE_GROUP, 2, "one"))
      expect(await run(world.readModel.adopt(group))).toBe(true)
    })

    test("that are to be built or were built make owners of the default group claim anew, in every partition", async () => {
      await register(metric(1))
      for (const partition of [0, 1]) await commit(stepOf(1, { partition }))
      const refused = async () => {
        for (const partition of [0, 1]) {
          const error = await failureOf(committing(stepOf(2, { partition })))
          expect(error).toMatchObject({ _tag: "CheckpointConflict", partition })
        }
      }
      const { group } = await register(metric(2))
      await refused()
      claimAnew()
      for (const partition of [0, 1]) await commit(stepOf(1, { group, partition }))
      await commit(stepOf(2, { partition: 0 }))
      await commit(stepOf(2, { group, partition: 0 }))
      await countAll(group)
      expect(await run(world.readModel.adopt(group))).toBe(true)
      const error = await failureOf(committing(stepOf(3)))
      expect(error).toMatchObject({ _tag: "CheckpointConflict", partition: 0 })
      claimAnew()
      await commit(stepOf(3))
    })

    test("go live with cells that were never revised, since nobody saw them before", async () => {
      const live = await register(metric(1))
      await commit(cellStep(1, [["", "events", "1"]], { measures: [live.id] }))
      const next = await register(metric(2))
      claimAnew()
      await commit(cellStep(1, [["", "events", "1"]], { group: next.group, measures: [next.id], revises: () => false }))
      // The default group goes on, and changes what is built as well: persons turned out to be others.
      const { changes } = cellStep(2, [["", "events", "1"]])
      const both = { ...changes, measures: [...changes.measures, ...changes.measures] }
      await commit(stepOf(2, { measures: [live.id, next.id], changes: both, revises: (id) => id === live.id }))
      await commit(stepOf(2, { group: next.group, measures: [next.id] }))
      await countAll(next.group)
      expect(await run(world.readModel.adopt(next.group))).toBe(true)
      await run(world.readModel.makeLive([next.id], await made()))
      const [cell] = await run(world.queries.cells(next.id, RANGE))
      expect(cell).toMatchObject({ amount: "2", revisedAt: null, revisionCause: null })
      const [other] = await run(world.queries.cells(live.id, RANGE))
      expect(other).toMatchObject({ amount: "2", revisedAt: checkpoint(2).logTime })
    })

    test("are other versions' from now on where these count the same", async () => {
      const { old, next } = await readyBeside()
      await run(world.readModel.relabel(old.id, metric(3, { owner: "growth" }), await made()))
      const [first] = await run(world.readModel.measures)
      expect(first).toEqual({ ...old, definition: metric(3, { owner: "growth" }) })
      await run(world.readModel.relabel(next.id, metric(3), await made()))
      expect((await run(world.readModel.measures))[1]).toMatchObject({ definition: metric(3), build: 2 })
      const before = await run(dump)
      await run(world.readModel.relabel(next.id, metric(4), "another"))
      expect(await run(dump)).toEqual(before)
    })

    test("have rows that can be counted", async () => {
      const old = await register(metric(1))
      await commit(cellStep(1, [["", "events", "1"]], { measures: [old.id] }))
      expect(await run(world.queries.sizesOf(old.id))).toEqual({ facts: 0, cells: 1 })
      expect(await run(world.queries.sizesOf(99))).toEqual({ facts: 0, cells: 0 })
    })
  })
}
