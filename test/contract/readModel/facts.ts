import { deepStrictEqual } from "node:assert"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { EMPTY_FACT, type Fact, factKey, factOf, type FactRow, joinFacts } from "../../../src/domain/measure/Fact.ts"
import { EMPTY_POINTS, eventKey, joinPoints, type Points } from "../../../src/domain/measure/points.ts"
import type { FactChange, KnownFacts } from "../../../src/domain/projection/StepChanges.ts"
import { ReadModelUnavailable } from "../../../src/domain/projection/errors.ts"
import { type KnownTables, LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { TEXTS, NO_CHANGES, stepOf, identity, factRow, FRAGMENTS_BOUND, bySpelling } from "./fixtures.ts"
import type { World } from "./world.ts"
import { everyPersons } from "../../support/everyPersons.ts"

/** Facts, in fragments. */
export const factsContract = (world: World): void => {
  const { run, epochOf, committing, looking, commit, lookUp, identitiesOf, wholeFacts, allFactsOf } = world

  describe("facts", () => {
    const points = {
      times: [0, 1_763_769_600_000, 1_763_769_600_000, 8_640_000_000_000_000],
      keys: [eventKey(255, 2 ** 32 - 1, 4095), 1, eventKey(3, 1_000_000, 7), 2],
      labels: ["", ...TEXTS.slice(13, 16)],
    }
    const sorted = (rows: Iterable<FactRow>) => [...rows].sort(bySpelling((row) => `${row.month}|${row.value}`))
    const rowsByKey = (facts: ReadonlyMap<number, Fact>) =>
      new Map([...facts].sort(([a], [b]) => a - b).map(([key, fact]) => [key, sorted(fact.values())]))
    const factsOf = async (measure: number, keys: ReadonlyArray<number>) =>
      rowsByKey((await allFactsOf([measure], keys))[0]!)
    const factStep = (sequence: number, facts: ReadonlyArray<FactChange>, measures = [1]) =>
      stepOf(sequence, { measures, changes: { ...NO_CHANGES, measures: measures.map(() => ({ facts, cells: [] })) } })
    const joins = (key: number, ...rows: ReadonlyArray<FactRow>): FactChange => ({ key, rows, replaces: false })
    const replaces = (key: number, ...rows: ReadonlyArray<FactRow>): FactChange => ({ key, rows, replaces: true })

    test("come back as they went in, whatever their values, months, masks and moments", async () => {
      const rows = sorted([
        ...TEXTS.map((value) => factRow(value)),
        factRow("all days", { mask: 0x7fffffff }),
        factRow("before 1970", { month: -1, mask: 1 }),
        factRow("far", { month: 100_000, mask: 1 << 30 }),
        factRow("moments", { points }),
        // Rows that have their month to themselves.
        factRow("", { month: 651 }),
        factRow("", { month: 652, points }),
        factRow("alone", { month: 653, points }),
      ])
      await commit(factStep(1, [joins(9, ...rows)]))
      const facts = await factsOf(1, [9])
      deepStrictEqual(facts.get(9), rows)
      for (const [key, row] of (await allFactsOf([1], [9]))[0]!.get(9)!) {
        expect(key).toBe(`${row.month}|${row.value}`)
      }
    })

    test("are kept by measure and key, and given in the order asked for", async () => {
      await commit(factStep(1, [joins(1, factRow("x"))], [4, 2]))
      await commit(factStep(2, [joins(2, factRow("y"))], [2]))
      const [two, four, none] = await allFactsOf([2, 4, 3], [1, 2, 3])
      expect([...two!.keys()].sort()).toEqual([1, 2])
      expect([...four!.keys()]).toEqual([1])
      expect(none!.size).toBe(0)
    })

    test("are joined to what is there", async () => {
      const later: Points = {
        times: [5, ...points.times.slice(2)],
        keys: [9, ...points.keys.slice(2)],
        labels: points.labels.slice(1),
      }
      const first = [factRow("a", { points }), factRow("b")]
      const second = [factRow("a", { mask: 8, points: later }), factRow("\0"), factRow("b", { month: 651 })]
      await commit(factStep(1, [joins(1, ...first), joins(-1, factRow("older"))]))
      await commit(factStep(2, [joins(1, ...second)]))
      const joined = joinFacts(factOf(first), factOf(second))
      expect(joined.get(factKey("a", 650))).toMatchObject({ mask: 0b1101, points: { times: { length: 5 } } })
      deepStrictEqual(
        await factsOf(1, [1, -1]),
        new Map([
          [-1, [factRow("older")]],
          [1, sorted(joined.values())],
        ]),
      )
    })

    test("take the place of what is there where they replace it, in their measure and of their identity alone", async () => {
      const first = [factRow("a", { points }), factRow("b"), factRow("c", { month: 651 })]
      await commit(factStep(1, [joins(1, ...first), joins(2, factRow("b")), joins(3, factRow("b"))], [1, 2]))
      // In fragments, all of which have to go.
      await commit(factStep(2, [joins(1, factRow("a", { month: 652 }))]))
      await commit(
        factStep(3, [
          replaces(1, factRow("a", { mask: 8 }), factRow("\0")),
          replaces(3),
          replaces(4),
          replaces(5, factRow("new")),
        ]),
      )
      deepStrictEqual(
        await factsOf(1, [1, 2, 3, 4, 5]),
        new Map([
          [1, [factRow("\0"), factRow("a", { mask: 8 })]],
          [2, [factRow("b")]],
          [5, [factRow("new")]],
        ]),
      )
      deepStrictEqual(
        await factsOf(2, [1, 2, 3]),
        new Map([
          [1, sorted(first)],
          [2, [factRow("b")]],
          [3, [factRow("b")]],
        ]),
      )
    })

    test("come for the identities that each measure asks for", async () => {
      const rows = [
        factRow("a"),
        factRow("b", { month: 651 }),
        factRow("", { month: 652 }),
        factRow("c", { month: -3 }),
      ]
      await commit(factStep(1, [joins(1, ...rows), joins(2, ...rows), joins(3, ...rows)], [1, 2, 3]))
      const ask = async (...needs: ReadonlyArray<readonly [measure: number, keys: ReadonlyArray<number>]>) =>
        (await lookUp((known) => known.facts(needs.map(([measure, keys]) => ({ measure, keys }))))).map(rowsByKey)
      const all = sorted(rows)
      deepStrictEqual(await ask([2, [1, 2, 4]], [1, [2]], [3, []]), [
        new Map([
          [1, all],
          [2, all],
        ]),
        new Map([[2, all]]),
        new Map(),
      ])
      const alike = [3, 1]
      const both = new Map([
        [1, all],
        [3, all],
      ])
      deepStrictEqual(await ask([3, alike], [1, alike]), [both, both])
    })

    describe("of many steps", () => {
      const MONTHS = [650, 651]
      /** What the n-th step learns: now and then something new, and always something that is known in part. */
      const rowsOfStep = (n: number): ReadonlyArray<FactRow> =>
        MONTHS.flatMap((month) =>
          ["", "a", TEXTS[n % TEXTS.length]!]
            .filter((value, at, all) => all.indexOf(value) === at)
            .map((value, at) => {
              const events = [n, n + 1, n + 2 + at]
              return factRow(value, {
                month,
                mask: (1 << (n % 31)) | (1 << ((n * 7) % 31)),
                points:
                  at === 0
                    ? EMPTY_POINTS
                    : {
                        times: events.map((event) => event * 1000),
                        keys: events.map((event) => eventKey(1, event + 1, month)),
                        labels: events.map((event) => TEXTS[event % TEXTS.length]!),
                      },
              })
            }),
        )
      const joinedAfter = (steps: number): ReadonlyArray<FactRow> =>
        sorted(
          Array.from({ length: steps }, (_, n) => factOf(rowsOfStep(n)))
            .reduce(joinFacts, EMPTY_FACT)
            .values(),
        )
      const write = (steps: number) =>
        Effect.gen(function* () {
          for (let n = 0; n < steps; n++) {
            const step = factStep(n + 1, [joins(1, ...rowsOfStep(n)), joins(2, ...rowsOfStep(n + 1))])
            yield* committing({
              ...step,
              changes: { ...step.changes, identities: n === 0 ? [identity(1, "u:ann"), identity(2, "u:bob")] : [] },
            })
          }
        })
      /** A step that reads facts as others do, and changes nothing. */
      const reading = Effect.fnUntraced(function* (
        sequence: number,
        look: (known: KnownTables) => Effect.Effect<KnownFacts, ReadModelUnavailable>,
      ) {
        const { changes, ...step } = stepOf(sequence)
        yield* world.readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, 0) }, (known) =>
          Effect.as(look(known), changes),
        )
      })

      /** All that the facts of the two say, by each way to ask. */
      const allAnswers = Effect.gen(function* () {
        const [facts] = yield* looking(wholeFacts([1], [1, 2]))
        const personFacts = yield* world.queries.personFacts(1)
        const personPoints = everyPersons(yield* world.queries.personPoints(1))
        return { facts: rowsByKey(facts!), personFacts: rowsByKey(personFacts), personPoints }
      })

      test("come back as their join, by every way to ask", async () => {
        await run(write(20))
        const { facts, personFacts, personPoints } = await run(allAnswers)
        deepStrictEqual(facts.get(1), joinedAfter(20))
        deepStrictEqual(personFacts, facts)
        // Of all values and months together, as looked at by what doesn't part them.
        const allOf = (rows: ReadonlyArray<FactRow>) => {
          const { times, labels } = rows.map(({ points }) => points).reduce(joinPoints, EMPTY_POINTS)
          return { times, labels }
        }
        deepStrictEqual(personPoints, Array.from(facts.values(), allOf))
      })

      test("say the same after they were put together", async () => {
        await run(write(20))
        const before = await run(allAnswers)
        await run(reading(21, (known) => known.facts([{ measure: 1, keys: [1] }])))
        deepStrictEqual(await run(allAnswers), before)
        await run(reading(22, wholeFacts([1], [1, 2])))
        deepStrictEqual(await run(allAnswers), before)
        expect((await run(world.queries.sizes)).facts).toBeLessThanOrEqual(FRAGMENTS_BOUND)
      })

      test("stay few where each reads what it adds to", async () => {
        const steps = 40
        let most = 0
        for (let n = 0; n < steps; n++) {
          const { changes, ...step } = factStep(n + 1, [joins(1, ...rowsOfStep(n))])
          const epoch = await run(epochOf(LIVE_GROUP, 0))
          await run(
            world.readModel.commit({ ...step, epoch }, (known) =>
              Effect.as(known.facts([{ measure: 1, keys: [1] }]), changes),
            ),
          )
          most = Math.max(most, (await run(world.queries.sizes)).facts)
        }
        expect(most).toBeLessThanOrEqual(FRAGMENTS_BOUND)
        deepStrictEqual((await factsOf(1, [1])).get(1), joinedAfter(steps))
      })
    })

    test("come in any size: more than one statement can give", async () => {
      const keys = [-1, 1, 40, 41, 80, 120]
      const rows = keys.map((key) => [
        factRow("", {
          points: { times: [key + 9], keys: [eventKey(0, key + 9, 0)], labels: [String(key).repeat(1_500_000)] },
        }),
      ])
      const identities = keys.map((key) => identity(key, `u:${key}`))
      const facts = keys.map((key, n) => joins(key, ...rows[n]!))
      await commit({ ...factStep(1, facts), changes: { ...factStep(1, facts).changes, identities } })
      deepStrictEqual(await factsOf(1, keys), new Map(keys.map((key, n) => [key, rows[n]!])))
      const points = rows.map(([row]) => ({ times: row!.points.times, labels: row!.points.labels }))
      deepStrictEqual(everyPersons(await run(world.queries.personPoints(1))), points)
    })

    test("come in any number", async () => {
      const many = Array.from({ length: 20_001 }, (_, i) => joins(i + 1, factRow("", { mask: (i % 31) + 1 })))
      const identities = many.map(({ key }) => identity(key, `u:${key}`))
      await commit({ ...factStep(1, many), changes: { ...factStep(1, many).changes, identities } })
      const known = await identitiesOf(identities.map(({ distinctId }) => distinctId))
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
          many.map(({ key }) => replaces(key)),
        ),
      )
      expect((await run(world.queries.sizes)).facts).toBe(0)
    })
  })
}
