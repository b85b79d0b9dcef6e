import { deepStrictEqual } from "node:assert"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import type { DistinctId } from "../../../src/domain/identity/distinctId.ts"
import type { AliasStatement } from "../../../src/domain/identity/links.ts"
import type { Identity } from "../../../src/domain/identity/persons.ts"
import type { KnownIdentities } from "../../../src/domain/projection/whoIsWho.ts"
import { type KnownTables, LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { TEXTS, NO_CHANGES, stepOf, identity, dump } from "./fixtures.ts"
import type { World } from "./world.ts"

/** Distinct ids, persons, and what is said of them. */
export const whoIsWhoContract = (world: World): void => {
  const { run, epochOf, commit, lookUp, identitiesOf, failureOf } = world

  describe("who is who", () => {
    test("comes back as it went in, whatever the ids are", async () => {
      const rows = TEXTS.flatMap((text, n): ReadonlyArray<Identity> => [
        identity(3 * n + 1, `u:${text}`),
        identity(3 * n + 2, `a:${text}`, { person: 3 * n + 1, link: { time: n, userId: text } }),
        identity(-(3 * n + 2), `a:${text}`, { older: true, link: null }),
      ])
      const statements = TEXTS.slice(1).map((text, n): AliasStatement => ({
        first: TEXTS[n]!,
        second: text,
        time: n,
        joined: n % 2 === 0,
      }))
      await commit(stepOf(1, { changes: { identities: rows, statements, measures: [] } }))
      const ids = [...new Set(rows.map(({ distinctId }) => distinctId))]
      const byKey = (all: ReadonlyArray<Identity>) => all.toSorted((a, b) => a.key - b.key)
      const byTime = (all: ReadonlyArray<AliasStatement>) => all.toSorted((a, b) => a.time - b.time)
      const known = await identitiesOf(ids)
      expect(known.newKeys).toEqual([])
      for (const found of [known, await run(world.queries.identities(ids))]) {
        deepStrictEqual(byKey(found.rows), byKey(rows))
        deepStrictEqual(byTime(found.statements), byTime(statements))
      }
      for (const [n, text] of TEXTS.entries()) {
        const person = await run(world.queries.personOf(`a:${text}`))
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
        identity(-3, "a:d1", { older: true }),
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
        const keysAndTimes = ({ rows, statements }: Pick<KnownIdentities, "rows" | "statements">) => [
          rows.map(({ key }) => key).sort(),
          statements.map(({ time }) => time).sort(),
        ]
        const known = keysAndTimes(await identitiesOf(ids))
        expect(keysAndTimes(await run(world.queries.identities(ids)))).toEqual(known)
        return known
      }
      expect(await keysOf("u:ann")).toEqual([
        [1, 2, 3],
        [1, 2],
      ])
      expect(await keysOf("a:d1", "u:bob")).toEqual([
        [-3, 1, 2, 3],
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
      const { rows, statements } = await identitiesOf(["u:ann"])
      expect(rows.toSorted((a, b) => a.key - b.key)).toEqual([identity(1, "u:ann"), moved])
      expect(statements).toEqual([again])
    })

    test("has one row for each distinct id: who was not looked up is taken to be new", async () => {
      await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: [identity(1, "u:ann")] } }))
      const before = await run(dump)
      const { changes: _, ...step } = stepOf(2)
      const epoch = await run(epochOf(LIVE_GROUP, 0))
      const identities = [identity(2, "u:bob"), identity(3, "u:ann")]
      const error = await failureOf(
        world.readModel.commit({ ...step, epoch }, () => Effect.succeed({ ...NO_CHANGES, identities })),
      )
      expect(error).toMatchObject({ _tag: "ReadModelUnavailable", attempted: "commit a step of the projection" })
      expect(await run(dump)).toEqual(before)
    })

    const expectAllDifferent = (keys: ReadonlyArray<number>): void => {
      expect(keys.filter((key) => !Number.isInteger(key) || key <= 0)).toEqual([])
      expect(new Set(keys).size).toBe(keys.length)
    }

    /** The place of a partition's first step. */
    const placeOf = Effect.fnUntraced(function* (partition: number) {
      return { group: LIVE_GROUP, partition, epoch: yield* epochOf(LIVE_GROUP, partition), expected: null }
    })

    test("gives keys beforehand, whatever the ids are, and to persons of their own", async () => {
      const ids = TEXTS.flatMap((text): ReadonlyArray<DistinctId> => [`u:${text}`, `a:${text}`])
      const place = await run(placeOf(0))
      const keys = await run(world.readModel.keysOf(place, ids))
      expectAllDifferent(keys)
      expect(await run(world.readModel.keysOf(place, ids.toReversed()))).toEqual(keys.toReversed())
      expect(await run(world.readModel.keysOf(place, []))).toEqual([])
      const rows = ids.map((distinctId, n) => identity(keys[n]!, distinctId))
      const byKey = (all: ReadonlyArray<Identity>) => all.toSorted((a, b) => a.key - b.key)
      deepStrictEqual(byKey((await lookUp((known) => known.identities([], false, keys))).rows), byKey(rows))
      deepStrictEqual(byKey((await identitiesOf(ids)).rows), byKey(rows))
    })

    test("gives rows of keys without the other members of their persons", async () => {
      const rows = [
        identity(1, "u:ann"),
        identity(2, "a:d1", { person: 1, link: { time: 5, userId: "ann" } }),
        identity(3, "a:d2"),
        identity(4, "u:bob"),
        identity(5, "a:d3", { person: 4, link: { time: 5, userId: "bob" } }),
      ]
      // Of ann, who is looked up with none of hers, nothing said matters.
      const statements = ["ann", "bob"].map((first) => ({ first, second: "cid", time: 1, joined: false }))
      await commit(stepOf(1, { changes: { ...NO_CHANGES, identities: rows, statements } }))
      const asked = (...about: Parameters<KnownTables["identities"]>) => lookUp((known) => known.identities(...about))
      expect(await asked([], false, [2])).toEqual({ rows: [rows[1]], statements: [], newKeys: [] })
      const { rows: found, statements: said } = await asked(["a:d3"], false, [2, 4])
      expect(found.toSorted((a, b) => a.key - b.key)).toEqual([rows[1], rows[3], rows[4]])
      expect(said).toEqual([{ first: "bob", second: "cid", time: 1, joined: false }])
    })

    test("gives each distinct id one key when many partitions bring the same at one time", async () => {
      const partitions = Array.from({ length: 8 }, (_, n) => n)
      const ids = Array.from({ length: 300 }, (_, n): DistinctId => (n % 2 === 0 ? `u:${n}` : `a:${n}`))
      const asked = partitions.map((partition) => ids.slice(20 * partition).concat(ids.slice(0, 10 * partition)))
      const given = await run(
        Effect.forEach(
          partitions,
          (partition) =>
            Effect.flatMap(placeOf(partition), (place) => world.readModel.keysOf(place, asked[partition]!)),
          { concurrency: "unbounded" },
        ),
      )
      const keyOf = new Map(given[0]!.map((key, n) => [asked[0]![n]!, key]))
      expectAllDifferent([...keyOf.values()])
      for (const partition of partitions) {
        expect(given[partition]).toEqual(asked[partition]!.map((id) => keyOf.get(id)))
      }
      expect((await run(world.queries.sizes)).distinctIds).toBe(ids.length)
    })

    /** Commits a step that names distinct ids and makes those that are missing; gives the keys that it was given. */
    const naming = Effect.fnUntraced(function* (sequence: number, partition: number, ids: ReadonlyArray<DistinctId>) {
      const given: Array<ReadonlyArray<number>> = []
      const { changes: _, ...step } = stepOf(sequence, { partition })
      yield* world.readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, partition) }, (known) =>
        Effect.map(known.identities(ids, false), ({ rows, newKeys }) => {
          const held = new Set(rows.map(({ distinctId }) => distinctId))
          const missing = ids.filter((id) => !held.has(id))
          expect(newKeys.length).toBeGreaterThanOrEqual(missing.length)
          given.push(newKeys)
          return { ...NO_CHANGES, identities: missing.map((id, n) => identity(newKeys[n]!, id)) }
        }),
      )
      return given.flat()
    })

    test("gives keys to those who are missing, and none twice, also not after a step that failed", async () => {
      const first = await run(naming(1, 0, ["u:ann", "a:d1", "u:bob"]))
      const { newKeys } = await identitiesOf(["u:ann", "u:cid"])
      const third = await run(naming(2, 0, ["u:cid", "u:ann", "u:dan"]))
      expectAllDifferent([...first, ...newKeys, ...third])
      expect(await run(naming(3, 0, ["u:ann", "u:cid", "u:dan", "u:bob"]))).toEqual([])
      expect((await run(world.queries.sizes)).distinctIds).toBe(5)
    })

    test("gives no key twice to steps of many partitions at one time", async () => {
      const partitions = Array.from({ length: 8 }, (_, n) => n)
      const idsOf = (partition: number, step: number): ReadonlyArray<DistinctId> =>
        Array.from({ length: 5 }, (_, n) => `u:${partition} ${step} ${n}` as const)
      const all = await run(
        Effect.forEach(
          partitions,
          (partition) => Effect.forEach([1, 2, 3], (step) => naming(step, partition, idsOf(partition, step))),
          { concurrency: "unbounded" },
        ),
      )
      const given = all.flat(2)
      expectAllDifferent(given)
      const ids = partitions.flatMap((partition) => [1, 2, 3].flatMap((step) => idsOf(partition, step)))
      const { rows } = await run(world.queries.identities(ids))
      expect(rows.map(({ distinctId }) => distinctId).sort()).toEqual(ids.toSorted())
      expect(rows.filter(({ key }) => !given.includes(key))).toEqual([])
    })
  })
}
