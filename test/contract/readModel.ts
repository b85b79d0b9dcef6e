import { deepStrictEqual } from "node:assert"
import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import type { AliasStatement } from "../../src/domain/identity/links.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"
import type { FactRow } from "../../src/domain/measure/Fact.ts"
import { EMPTY_POINTS, eventKey } from "../../src/domain/measure/points.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { DedupeIndex } from "../../src/domain/projection/DedupeIndex.ts"
import { type Checkpoint, LIVE_GROUP, ReadModel, type Step } from "../../src/domain/projection/ReadModel.ts"
import { INTAKE, ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../src/domain/settings.ts"
import { migrate, SCHEMA_VERSION } from "../../src/infra/sql/migrations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../src/infra/sql/SqlReadModelQueries.ts"

/** Texts that databases like to spoil: each comes back as it went in, and no two are one. */
const TEXTS: ReadonlyArray<string> = [
  "",
  " ",
  "plain",
  "PLAIN",
  "NULL",
  "null",
  "\\",
  "\\\\",
  "\\0",
  "\\u0000",
  "\\ud800",
  "\0",
  "\0\0",
  "a\0b",
  "\ud800",
  "\udfff",
  "\udfff\ud800",
  "x\ud83d",
  "😀",
  "e\u0301",
  "\u00e9",
  "\uff5e",
  "x\ufeff",
  "\u2028",
  "\uffff",
  "__proto__",
  "constructor",
  '"',
  "'",
  "''; DROP TABLE cells; --",
  "{a,b}",
  ",",
  "\n\r\t",
  "ß".repeat(256),
  "😀".repeat(128),
  "\\".repeat(256),
  "\0".repeat(256),
]

/** A text of so many UTF-16 units that no compression makes much shorter. */
const noise = (length: number, unit: (n: number) => number): string => {
  let state = 1
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return String.fromCharCode(unit(state >>> 8))
  }).join("")
}

const DAY = 19_000
const RANGE = { from: 0, to: 100_000 }

const position = (sequence: number, partition = 0) => ({
  incarnation: "inc",
  partition,
  sequence,
  batchId: `w.${partition}.${sequence}`,
})

const checkpoint = (sequence: number, partition = 0): Checkpoint => ({
  position: position(sequence, partition),
  chain: {
    w: { number: sequence, sum: "00112233445566778899aabbccddeeff", loggedAt: sequence },
    __proto__x: { number: 1, sum: "", loggedAt: 1 },
  },
  logTime: 1_763_769_600_000 + sequence,
  counts: { projected: sequence * 10, duplicates: 2, conflicts: 1, personless: 3 },
})

const NO_CHANGES: Step["changes"] = { identities: [], statements: [], measures: [] }

const stepOf = (sequence: number, over: Partial<Step> = {}): Step => {
  const partition = over.partition ?? 0
  return {
    group: LIVE_GROUP,
    partition,
    expected: sequence === 1 ? null : position(sequence - 1, partition),
    next: checkpoint(sequence, partition),
    measures: [],
    changes: NO_CHANGES,
    intake: [],
    dedupe: [],
    dedupeFrom: Number.NEGATIVE_INFINITY,
    duplicates: [],
    failures: [],
    revises: true,
    ...over,
  }
}

/** A step that changes only cells of measure 1. */
const cellStep = (
  sequence: number,
  cells: ReadonlyArray<readonly [item: string, stat: string, amount: string]>,
  over: Partial<Step> = {},
): Step =>
  stepOf(sequence, {
    measures: [1],
    changes: {
      ...NO_CHANGES,
      measures: [
        {
          facts: [],
          cells: cells.map(([item, stat, amount]) => ({ day: DAY, item, stat, amount, cause: "late-data" as const })),
        },
      ],
    },
    ...over,
  })

const identity = (key: number, distinctId: string, over: Partial<Identity> = {}): Identity => ({
  key,
  distinctId: distinctId as DistinctId,
  older: false,
  person: key,
  link: null,
  ...over,
})

const factRow = (value: string, over: Partial<FactRow> = {}): FactRow => ({
  value,
  month: 650,
  mask: 0b101,
  points: EMPTY_POINTS,
  ...over,
})

const TABLES = [
  "settings",
  "measures",
  "checkpoints",
  "distinct_ids",
  "aliases",
  "facts",
  "cells",
  "dedupe",
  "duplicates",
  "quarantine",
]

/** Every row of every table of ours. */
const dump = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows: Record<string, ReadonlyArray<string>> = {}
  for (const table of TABLES) {
    const found = yield* sql<{ readonly row: string }>`SELECT row_to_json(t)::text AS row FROM ${sql(table)} t`
    rows[table] = found.map(({ row }) => row).sort()
  }
  return rows
})

const bySpelling =
  <A>(nameOf: (row: A) => string) =>
  (a: A, b: A) =>
    nameOf(a) < nameOf(b) ? -1 : 1

/** What the read model keeps to, over any database that an SqlClient can speak to. Opened once, wiped for each test. */
export const readModelContract = (name: string, makeClient: () => Layer.Layer<SqlClient.SqlClient, unknown>): void => {
  describe(`${name} as a read model`, () => {
    // Opening a database takes seconds, more on a busy machine.
    vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

    type Services = ReadModel | ReadModelQueries | SqlClient.SqlClient
    let runtime: ManagedRuntime.ManagedRuntime<Services, unknown>
    let readModel: ReadModel["Service"]
    let queries: ReadModelQueries["Service"]
    let settingsAtFirst: Settings | null

    const run = <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => runtime.runPromise(effect)

    beforeAll(async () => {
      runtime = ManagedRuntime.make(
        layerSqlReadModelQueries.pipe(Layer.provideMerge(layerSqlReadModel), Layer.provideMerge(makeClient())),
      )
      readModel = await run(ReadModel)
      queries = await run(ReadModelQueries)
      settingsAtFirst = await run(readModel.settings)
    })

    afterAll(() => runtime.dispose())

    beforeEach(() => run(readModel.wipe(DEFAULT_SETTINGS)))

    const commit = (step: Step) => run(readModel.commit(step))
    const failureOf = <A, E>(effect: Effect.Effect<A, E, Services>) => run(Effect.flip(effect))
    const amountsOf = async (measure = 1) =>
      new Map(
        (await run(queries.cells(measure, RANGE))).map(({ item, stat, amount }) => [
          JSON.stringify([item, stat]),
          amount,
        ]),
      )

    test("begins with nothing", async () => {
      expect(settingsAtFirst).toBeNull()
      expect(await run(readModel.measures)).toEqual([])
      expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toBeNull()
      expect(await run(readModel.identities(["u:ann"]))).toEqual({ rows: [], statements: [], nextKey: 1 })
      expect(await run(readModel.identities([]))).toEqual({ rows: [], statements: [], nextKey: 1 })
      expect(await run(readModel.facts([1, 2], [1]))).toEqual([new Map(), new Map()])
      expect(await run(readModel.facts([], []))).toEqual([])
      expect(await run(readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual([])
      expect(await run(readModel.duplicates(0))).toEqual(new Map())
      expect(await run(queries.storedRange)).toBeNull()
    })

    describe("the checkpoint", () => {
      test("moves from where the step read, and carries all that goes with it", async () => {
        await commit(stepOf(1))
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(1))
        await commit(stepOf(2))
        expect(await run(readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(2))
      })

      test("is one for every group and partition", async () => {
        await commit(stepOf(1))
        await commit(stepOf(1, { partition: 1 }))
        await commit(stepOf(1, { group: "build-7" }))
        await commit(stepOf(2, { group: "build-7" }))
        expect((await run(readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
        expect((await run(readModel.checkpoint(LIVE_GROUP, 1)))?.position).toEqual(position(1, 1))
        expect((await run(readModel.checkpoint("build-7", 0)))?.position).toEqual(position(2))
        expect(await run(readModel.checkpoint("build-8", 0))).toBeNull()
        const all = await run(queries.checkpoints)
        expect(all.map(({ group, position }) => `${group} ${position.partition}`)).toEqual([
          "build-7 0",
          "live 0",
          "live 1",
        ])
      })

      test.each([
        ["the beginning", null],
        ["an earlier place", position(1)],
        ["a later place", position(3)],
        ["another batch", { ...position(2), batchId: "other.0.2" }],
        ["another log", { ...position(2), incarnation: "other" }],
      ])("refuses a step that read from %s, and writes nothing of it", async (_, expected) => {
        await commit(cellStep(1, [["a", "events", "1"]]))
        await commit(stepOf(2))
        const before = await run(dump)
        const step = stepOf(3, {
          expected,
          measures: [1],
          changes: {
            identities: [identity(1, "u:ann")],
            statements: [{ first: "a", second: "b", time: 1, joined: true }],
            measures: [
              {
                facts: [{ key: 1, upserts: [factRow("")], deletes: [] }],
                cells: [{ day: DAY, item: "a", stat: "events", amount: "5", cause: "late-data" as const }],
              },
            ],
          },
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "5", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(3, 1, ["id"], () => true)],
          duplicates: [{ sequence: 3, places: [0] }],
          failures: [{ partition: 0, sequence: 3, place: 0, metric: "m", cause: "c" }],
        })
        const error = await failureOf(readModel.commit(step))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", group: LIVE_GROUP, partition: 0, expected })
        expect(error.message).toContain("another projector has gone on. Nothing was written.")
        expect(await run(dump)).toEqual(before)
        await commit({ ...step, expected: position(2) })
        expect(await run(dump)).not.toEqual(before)
      })

      test("is moved once by two steps from one place at one time", async () => {
        await commit(stepOf(1))
        const attempts = [1, 2, 3, 4].map((n) => readModel.commit(cellStep(2, [[`item ${n}`, "events", "1"]])))
        const outcomes = await run(Effect.all(attempts.map(Effect.exit), { concurrency: "unbounded" }))
        expect(outcomes.filter(({ _tag }) => _tag === "Success").length).toBe(1)
        expect((await amountsOf()).size).toBe(1)
      })
    })

    test.each([
      [
        "a cell",
        cellStep(2, [
          ["", "events", "1"],
          ["", "users", "many"],
        ]),
      ],
      [
        "a batch of the dedupe index that is there already",
        stepOf(2, { dedupe: [DedupeIndex.entry(1, 1, ["x"], () => true)] }),
      ],
    ])("a commit that fails at %s leaves everything as it was", async (_, step) => {
      await commit(
        cellStep(1, [["", "events", "1"]], {
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(1, 1, ["id"], () => true)],
        }),
      )
      const before = await run(dump)
      const failing = {
        ...step,
        changes: { ...step.changes, identities: [identity(1, "u:ann")] },
        intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
        duplicates: [{ sequence: 2, places: [0] }],
      }
      const error = await failureOf(readModel.commit(failing))
      expect(error).toMatchObject({ _tag: "ReadModelUnavailable", attempted: "commit a step of the projection" })
      expect(error.message).toMatch(/^Could not commit a step of the projection: .+\.$/s)
      expect(await run(dump)).toEqual(before)
      await commit(stepOf(2))
    })

    describe("who is who", () => {
      test("comes back as it went in, whatever the ids are", async () => {
        const rows = TEXTS.flatMap((text, n): ReadonlyArray<Identity> => [
          identity(3 * n + 1, `u:${text}`),
          identity(3 * n + 2, `a:${text}`, { person: 3 * n + 1, link: { time: n, userId: text } }),
          identity(3 * n + 3, `a:${text}`, { older: true, link: null }),
        ])
        const statements = TEXTS.slice(1).map((text, n): AliasStatement => ({
          first: TEXTS[n]!,
          second: text,
          time: n,
          joined: n % 2 === 0,
        }))
        await commit(stepOf(1, { changes: { identities: rows, statements, measures: [] } }))
        const ids = [...new Set(rows.map(({ distinctId }) => distinctId))]
        const known = await run(readModel.identities(ids))
        expect(known.nextKey).toBe(rows.length + 1)
        deepStrictEqual(
          known.rows.toSorted((a, b) => a.key - b.key),
          rows,
        )
        const byTime = (all: ReadonlyArray<AliasStatement>) => all.toSorted((a, b) => a.time - b.time)
        deepStrictEqual(byTime(known.statements), byTime(statements))
        for (const [n, text] of TEXTS.entries()) {
          const person = await run(queries.personOf(`a:${text}`))
          deepStrictEqual(
            person.map(({ key }) => key),
            [3 * n + 1, 3 * n + 2],
          )
        }
      })

      test("comes with all members of the persons asked for, their older parts and their statements, and no others", async () => {
        const rows = [
          identity(1, "u:ann"),
          identity(2, "u:bob", { person: 1 }),
          identity(3, "a:d1", { person: 1, link: { time: 5, userId: "bob" } }),
          identity(4, "a:d1", { older: true }),
          identity(5, "u:cid"),
          identity(6, "a:d2"),
        ]
        const statements = [
          { first: "ann", second: "bob", time: 1, joined: true },
          { first: "bob", second: "zoe", time: 2, joined: false },
          { first: "cid", second: "dan", time: 3, joined: false },
        ]
        await commit(stepOf(1, { changes: { identities: rows, statements, measures: [] } }))
        const keysOf = async (...ids: ReadonlyArray<DistinctId>) => {
          const known = await run(readModel.identities(ids))
          expect(known.nextKey).toBe(7)
          return [known.rows.map(({ key }) => key).sort(), known.statements.map(({ time }) => time).sort()]
        }
        expect(await keysOf("u:ann")).toEqual([
          [1, 2, 3],
          [1, 2],
        ])
        expect(await keysOf("a:d1", "u:bob")).toEqual([
          [1, 2, 3, 4],
          [1, 2],
        ])
        expect(await keysOf("u:cid", "a:d2", "u:nobody")).toEqual([[5, 6], [3]])
      })

      test("changes row by row", async () => {
        await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [identity(1, "u:ann"), identity(2, "a:d1")] } }))
        const moved = identity(2, "a:d1", { person: 1, link: { time: 7, userId: "ann" } })
        const said = { first: "ann", second: "bob", time: 1, joined: true }
        await commit(stepOf(2, { changes: { identities: [moved], statements: [said], measures: [] } }))
        const again = { ...said, time: 2, joined: false }
        await commit(stepOf(3, { changes: { ...NO_CHANGES, statements: [again] } }))
        const { rows, statements } = await run(readModel.identities(["u:ann"]))
        expect(rows.toSorted((a, b) => a.key - b.key)).toEqual([identity(1, "u:ann"), moved])
        expect(statements).toEqual([again])
      })
    })

    describe("facts", () => {
      const points = {
        times: [0, 1_763_769_600_000, 1_763_769_600_000, 8_640_000_000_000_000],
        keys: [eventKey(255, 2 ** 32 - 1, 4095), 1, eventKey(3, 1_000_000, 7), 2],
        labels: ["", ...TEXTS.slice(13, 16)],
      }
      const factsOf = async (measure: number, keys: ReadonlyArray<number>) => {
        const [facts] = await run(readModel.facts([measure], keys))
        return new Map(
          [...facts!].map(([key, fact]) => [
            key,
            [...fact.values()].sort(bySpelling((row) => `${row.month}|${row.value}`)),
          ]),
        )
      }
      const factStep = (sequence: number, facts: Step["changes"]["measures"][0]["facts"], measures = [1]) =>
        stepOf(sequence, { measures, changes: { ...NO_CHANGES, measures: measures.map(() => ({ facts, cells: [] })) } })

      test("come back as they went in, whatever their values, months, masks and moments", async () => {
        const rows = [
          ...TEXTS.map((value) => factRow(value)),
          factRow("all days", { mask: 0x7fffffff }),
          factRow("before 1970", { month: -1, mask: 1 }),
          factRow("far", { month: 100_000, mask: 1 << 30 }),
          factRow("moments", { points }),
        ].sort(bySpelling((row) => `${row.month}|${row.value}`))
        await commit(factStep(1, [{ key: 9, upserts: rows, deletes: [] }]))
        const facts = await factsOf(1, [9])
        deepStrictEqual(facts.get(9), rows)
        for (const [key, row] of (await run(readModel.facts([1], [9])))[0]!.get(9)!) {
          expect(key).toBe(`${row.month}|${row.value}`)
        }
      })

      test("are kept by measure and key, and given in the order asked for", async () => {
        const upserts = [factRow("x")]
        await commit(factStep(1, [{ key: 1, upserts, deletes: [] }], [4, 2]))
        await commit(factStep(2, [{ key: 2, upserts: [factRow("y")], deletes: [] }], [2]))
        const [two, four, none] = await run(readModel.facts([2, 4, 3], [1, 2, 3]))
        expect([...two!.keys()].sort()).toEqual([1, 2])
        expect([...four!.keys()]).toEqual([1])
        expect(none!.size).toBe(0)
      })

      test("change row by row", async () => {
        await commit(factStep(1, [{ key: 1, upserts: [factRow("a", { points }), factRow("b")], deletes: [] }]))
        await commit(
          factStep(2, [
            { key: 1, upserts: [factRow("a", { mask: 8 }), factRow("\0")], deletes: [factRow("b")] },
            { key: 2, upserts: [], deletes: [factRow("never there")] },
          ]),
        )
        deepStrictEqual(await factsOf(1, [1, 2]), new Map([[1, [factRow("\0"), factRow("a", { mask: 8 })]]]))
      })

      test("come in any number", async () => {
        const many = Array.from({ length: 20_001 }, (_, i) => ({
          key: i + 1,
          upserts: [factRow("", { mask: (i % 31) + 1 })],
          deletes: [],
        }))
        const identities = many.map(({ key }) => identity(key, `u:${key}`))
        await commit({ ...factStep(1, many), changes: { ...factStep(1, many).changes, identities } })
        const known = await run(readModel.identities(identities.map(({ distinctId }) => distinctId)))
        expect(known.rows.length).toBe(20_001)
        const facts = await factsOf(
          1,
          many.map(({ key }) => key),
        )
        expect(facts.size).toBe(20_001)
        expect(facts.get(20_001)).toEqual([factRow("", { mask: (20_000 % 31) + 1 })])
        await commit(
          factStep(
            2,
            many.map(({ key, upserts }) => ({ key, upserts: [], deletes: upserts })),
          ),
        )
        expect((await run(queries.sizes)).facts).toBe(0)
      })
    })

    describe("cells", () => {
      test("add up exactly, whatever their items and statistics are", async () => {
        const cells = TEXTS.flatMap((item, n) => [
          [item, "users", String(n + 1)] as const,
          ["", `sum:${item}`, "0.1"] as const,
        ])
        await commit(cellStep(1, cells))
        await commit(
          cellStep(
            2,
            cells.map(([item, stat]) => [item, stat, stat === "users" ? "1" : "0.2"] as const),
          ),
        )
        const expected = new Map(
          cells.map(([item, stat], i) => [
            JSON.stringify([item, stat]),
            stat === "users" ? String(Math.floor(i / 2) + 2) : "0.3",
          ]),
        )
        deepStrictEqual(new Map([...(await amountsOf())].sort()), new Map([...expected].sort()))
        for (const item of TEXTS) {
          const found = await run(queries.cells(1, RANGE, { item, stats: ["users"] }))
          expect(found.map((cell) => cell.item)).toEqual([item])
        }
      })

      test("take any decimal", async () => {
        const amounts = ["1e21", "-0.1", "0.000000000000000000000000000001", "123456789012345678901234567890.5"]
        await commit(
          cellStep(
            1,
            amounts.map((amount, n) => [String(n), "sum", amount]),
          ),
        )
        expect([...(await amountsOf()).values()]).toEqual([
          "1000000000000000000000",
          "-0.1",
          "0.000000000000000000000000000001",
          "123456789012345678901234567890.5",
        ])
      })

      test("are as long as items can be, in both places at once", async () => {
        // Each half of a surrogate pair takes six characters to store; the worst that boundedItem lets through.
        const item = noise(256, (n) => 0xd800 + (n % 1024))
        const stat = `count:${noise(256, (n) => 0xdc00 + ((n * 7) % 1024))}`
        const cjk = noise(256, (n) => 0x4e00 + (n % 20_000))
        await commit(
          cellStep(1, [
            [item, stat, "1"],
            [cjk, `sum:${cjk}`, "1"],
          ]),
        )
        expect((await amountsOf()).size).toBe(2)
      })

      test("that come to nothing are gone", async () => {
        await commit(
          cellStep(1, [
            ["a", "users", "1"],
            ["b", "users", "2"],
            ["c", "sum", "1.5"],
          ]),
        )
        await commit(
          cellStep(2, [
            ["a", "users", "-1"],
            ["b", "users", "-1"],
            ["c", "sum", "-1.50"],
          ]),
        )
        expect(await amountsOf()).toEqual(new Map([[JSON.stringify(["b", "users"]), "1"]]))
      })

      test("late-equals-on-time: a cell that changes after it was published says when and why", async () => {
        await commit(
          cellStep(1, [
            ["late", "events", "1"],
            ["still", "events", "1"],
          ]),
        )
        const first = await run(queries.cells(1, RANGE))
        expect(first.map(({ revisedAt, revisionCause }) => [revisedAt, revisionCause])).toEqual([
          [null, null],
          [null, null],
        ])
        await commit(
          cellStep(2, [
            ["late", "events", "1"],
            ["new", "events", "1"],
          ]),
        )
        const [late, fresh, still] = await run(queries.cells(1, RANGE))
        expect(late).toMatchObject({ item: "late", revisedAt: checkpoint(2).logTime, revisionCause: "late-data" })
        expect(fresh).toMatchObject({ item: "new", revisedAt: null, revisionCause: null })
        expect(still).toMatchObject({ item: "still", revisedAt: null, revisionCause: null })
        const third = cellStep(3, [["late", "events", "1"]])
        const measures = third.changes.measures.map(({ facts, cells }) => ({
          facts,
          cells: cells.map((cell) => ({ ...cell, cause: "identity" as const })),
        }))
        await commit({ ...third, changes: { ...third.changes, measures } })
        const [revised] = await run(queries.cells(1, RANGE, { item: "late" }))
        expect(revised).toMatchObject({ amount: "3", revisedAt: checkpoint(3).logTime, revisionCause: "identity" })
      })

      test("of the intake are the default group's alone", async () => {
        const intake = [{ day: DAY, item: "", stat: "activity", amount: "3", cause: "late-data" as const }]
        await commit(stepOf(1, { intake }))
        await commit(stepOf(1, { group: "build-2", intake }))
        expect([...(await amountsOf(INTAKE)).values()]).toEqual(["3"])
        expect(await run(queries.storedRange)).toEqual({ from: DAY, to: DAY })
      })
    })

    describe("dedupe", () => {
      const entry = (sequence: number, loggedAt: number) =>
        DedupeIndex.entry(sequence, loggedAt, [`a${sequence}`, "\0😀", "c"], (place) => place !== 2)

      test("entries come back as they went in, in order, from a moment on", async () => {
        const entries = [entry(1, 100), entry(2, 100), entry(3, 300)]
        await commit(stepOf(1, { dedupe: entries.toReversed() }))
        await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 5)] }))
        expect(await run(readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual(entries)
        expect(await run(readModel.dedupeEntries(0, 101))).toEqual(entries.slice(2))
        expect(await run(readModel.dedupeEntries(1, 0))).toEqual([entry(1, 5)])
      })

      test("entries before the horizon are forgotten, in their partition alone", async () => {
        await commit(stepOf(1, { dedupe: [entry(1, 100), entry(2, 200)] }))
        await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 100)] }))
        await commit(stepOf(2, { dedupe: [entry(3, 300)], dedupeFrom: 200 }))
        expect(await run(readModel.dedupeEntries(0, 0))).toEqual([entry(2, 200), entry(3, 300)])
        expect((await run(readModel.dedupeEntries(1, 0))).length).toBe(1)
      })

      test("places of duplicates come back by batch", async () => {
        await commit(
          stepOf(1, {
            duplicates: [
              { sequence: 1, places: [0, 4095] },
              { sequence: 2 ** 32, places: [7] },
            ],
          }),
        )
        await commit(stepOf(1, { partition: 1, duplicates: [{ sequence: 1, places: [1] }] }))
        expect(await run(readModel.duplicates(0))).toEqual(
          new Map([
            [1, new Set([0, 4095])],
            [2 ** 32, new Set([7])],
          ]),
        )
        expect(await run(readModel.duplicates(1))).toEqual(new Map([[1, new Set([1])]]))
      })

      test("is the default group's alone", async () => {
        await commit(stepOf(1, { group: "build-2", dedupe: [entry(1, 1)], duplicates: [{ sequence: 1, places: [0] }] }))
        expect(await run(readModel.dedupeEntries(0, 0))).toEqual([])
        expect(await run(readModel.duplicates(0))).toEqual(new Map())
      })
    })

    test("failures to fold are kept once, with their cause", async () => {
      const failures = TEXTS.map((cause, place) => ({ partition: 0, sequence: 1, place, metric: "m", cause }))
      await commit(stepOf(1, { failures }))
      await commit(stepOf(1, { group: "build-2", failures }))
      deepStrictEqual(await run(queries.failures), failures)
    })

    describe("metrics", () => {
      const metric = (version: number, over: Partial<MetricDefinition> = {}): MetricDefinition => ({
        name: "clicks",
        version,
        formula: { kind: "event-count" },
        ...over,
      })

      test("are registered once, as building, with definitions that come back as they went in", async () => {
        const odd = metric(1, { description: TEXTS.join(), filter: { events: [...TEXTS.slice(2)] } })
        const first = await run(readModel.register([odd, BUILTIN_METRICS.sessions]))
        expect(first.map(({ state }) => state)).toEqual(["building", "building"])
        deepStrictEqual(
          first.map(({ definition }) => definition),
          [odd, BUILTIN_METRICS.sessions],
        )
        expect(await run(readModel.register([metric(1), BUILTIN_METRICS.sessions]))).toEqual(first)
        expect(await run(readModel.measures)).toEqual(first)
      })

      test("go live in place of their earlier versions, and their own checkpoints end", async () => {
        const [old, sessions] = await run(readModel.register([metric(1), BUILTIN_METRICS.sessions]))
        await run(readModel.promote(LIVE_GROUP, [old!.id, sessions!.id]))
        expect((await run(readModel.measures)).map(({ state }) => state)).toEqual(["live", "live"])
        await commit(stepOf(1))
        const next = (await run(readModel.register([metric(2)]))).find(({ definition }) => definition.version === 2)!
        expect(next.state).toBe("building")
        const group = `build-${next.id}`
        await commit(stepOf(1, { group }))
        await run(readModel.promote(group, [next.id]))
        const measures = await run(readModel.measures)
        expect(measures.map(({ id, state }) => [id, state])).toEqual([
          [sessions!.id, "live"],
          [next.id, "live"],
        ])
        expect(await run(readModel.checkpoint(group, 0))).toBeNull()
        expect((await run(readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
        // Once is enough; twice is no harm.
        await run(readModel.promote(group, [next.id]))
        expect(await run(readModel.measures)).toEqual(measures)
      })
    })

    test("wiping empties everything and notes the settings that hold next", async () => {
      await run(readModel.register([BUILTIN_METRICS.sessions]))
      await commit(
        cellStep(1, [["", "users", "1"]], {
          intake: [{ day: DAY, item: "", stat: "accepted", amount: "1", cause: "late-data" as const }],
          dedupe: [DedupeIndex.entry(1, 1, ["id"], () => true)],
          duplicates: [{ sequence: 1, places: [0] }],
          failures: [{ partition: 0, sequence: 1, place: 0, metric: "m", cause: "c" }],
        }),
      )
      const settings: Settings = {
        timeZone: "Europe/Berlin",
        weekStart: "sunday",
        mergeWindowMillis: null,
        dedupeHorizonMillis: 0,
      }
      await run(readModel.wipe(settings))
      expect(await run(readModel.settings)).toEqual(settings)
      const { settings: kept, ...others } = await run(dump)
      expect(kept!.length).toBe(1)
      expect(Object.values(others).flat()).toEqual([])
      // Keys and ids begin anew, so that a rebuild gives the same rows again.
      expect((await run(readModel.register([BUILTIN_METRICS.sessions])))[0]!.id).toBe(1)
    })

    describe("the schema", () => {
      test("is brought up to date at every start, any number of times", async () => {
        await commit(cellStep(1, [["", "users", "1"]]))
        const before = await run(dump)
        await run(migrate)
        await run(Effect.all([migrate, migrate, migrate], { concurrency: 3 }))
        expect(await run(dump)).toEqual(before)
      })

      test("of a newer version is refused with a sentence", async () => {
        const sql = await run(SqlClient.SqlClient)
        await run(sql`INSERT INTO migrations (migration_id, name) VALUES (99, 'from_the_future')`)
        try {
          const error = await failureOf(migrate)
          expect(error).toMatchObject({ _tag: "ReadModelUnavailable", retryable: false })
          expect(error.message).toBe(
            `Could not open the read model: its schema has version 99 and this version of Tidemark knows up to ${SCHEMA_VERSION}; upgrade Tidemark.`,
          )
        } finally {
          await run(sql`DELETE FROM migrations WHERE migration_id = 99`)
        }
        await run(migrate)
      })
    })

    // Each of these passes as soon as it is repaired, and vitest then asks for the mark to be taken away.
    describe("known faults", () => {
      test("text that begins with U+FEFF comes back as it went in", async () => {
        const row = identity(1, "a:d", { link: { time: 1, userId: "\ufeffann" } })
        await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [row] } }))
        expect((await run(readModel.identities(["a:d"]))).rows).toEqual([row])
      })

      test("a cell is found by a statistic with a backslash in it", async () => {
        await commit(cellStep(1, [["", "sum:\\", "1"]]))
        expect((await run(queries.cells(1, RANGE, { stats: ["sum:\\"] }))).length).toBe(1)
      })

      test("a cell that rises to zero is gone", async () => {
        await commit(cellStep(1, [["", "sum", "-1.5"]]))
        await commit(cellStep(2, [["", "sum", "1.5"]]))
        expect(await amountsOf()).toEqual(new Map())
      })

      test("an amount has one spelling, however it was added up", async () => {
        await commit(cellStep(1, [["", "sum", "0.5"]]))
        await commit(cellStep(2, [["", "sum", "0.5"]]))
        expect([...(await amountsOf()).values()]).toEqual(["1"])
      })
    })

    test("what the database refuses is told as what was attempted and why", async () => {
      const sql = await run(SqlClient.SqlClient)
      await run(sql`ALTER TABLE checkpoints RENAME TO elsewhere`)
      try {
        const error = await failureOf(readModel.checkpoint(LIVE_GROUP, 0))
        expect(error.message).toBe('Could not read a checkpoint: relation "checkpoints" does not exist.')
        expect(error.retryable).toBe(false)
      } finally {
        await run(sql`ALTER TABLE elsewhere RENAME TO checkpoints`)
      }
    })
  })
}
