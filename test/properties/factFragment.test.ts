import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Fact, factOf, type FactRow, joinInto } from "../../src/domain/measure/Fact.ts"
import { EMPTY_POINTS, eventKey, sortPoints } from "../../src/domain/measure/points.ts"
import { byBlock } from "../../src/infra/sql/blocks.ts"
import { FRAGMENT_BYTES, packFragments, unpackFragment } from "../../src/infra/sql/factFragment.ts"
import { RUNS_KIND } from "../support/laws.ts"

/** How facts are kept in the database: packed, several identities to a row. */

describe("fragments of facts", () => {
  const arbText = fc.oneof(
    fc.constantFrom("", "0", "0,1;2", "__proto__", "\0", "\ud800", "\ufeff", "\\", '"', "ü€😀", "x".repeat(400)),
    fc.string({ unit: "binary", maxLength: 6 }),
  )
  const arbMoment = fc.record({
    time: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -1e15, max: 8e15 })),
    key: fc
      .tuple(fc.nat(255), fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.nat(4095))
      .map(([partition, sequence, place]) => eventKey(partition, sequence, place)),
    label: arbText,
  })
  const arbPoints = fc.oneof(
    { weight: 2, arbitrary: fc.constant(EMPTY_POINTS) },
    {
      weight: 1,
      arbitrary: fc.array(arbMoment, { maxLength: 8 }).map((moments) =>
        sortPoints({
          times: moments.map(({ time }) => time),
          keys: moments.map(({ key }) => key),
          labels: moments.map(({ label }) => label),
        }),
      ),
    },
  )
  const arbRow: fc.Arbitrary<FactRow> = fc.record({
    value: arbText,
    month: fc.oneof(fc.integer({ min: 650, max: 652 }), fc.integer({ min: -3_300_000, max: 3_300_000 })),
    mask: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    points: arbPoints,
  })
  const arbFact: fc.Arbitrary<Fact> = fc.array(arbRow, { minLength: 1, maxLength: 4 }).map(factOf)
  const arbKey = fc.oneof(
    fc.integer({ min: -40, max: 80 }),
    fc.constantFrom(-(2 ** 31), -32, -33, 0, 31, 32, 63, 2 ** 31 - 1),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  )
  const arbFacts = fc
    .array(fc.tuple(arbKey, arbFact), { maxLength: 60 })
    .map((facts) => [...new Map(facts)].sort(([a], [b]) => a - b))

  const pack = (facts: ReadonlyArray<readonly [number, Fact]>) =>
    packFragments(facts.map(([key, fact]) => [key, fact.values()]))

  test("say what was packed, of all or of those that are wanted", () => {
    fc.assert(
      fc.property(arbFacts, fc.func(fc.boolean()), (facts, isWanted) => {
        const all = new Map<number, Fact>()
        const some = new Map<number, Fact>()
        const wanted = byBlock(facts.flatMap(([key]) => (isWanted(key) ? [key] : [])))
        for (const fragment of pack(facts)) {
          unpackFragment(fragment, joinInto(all))
          unpackFragment(fragment, joinInto(some), wanted.get(fragment.block) ?? 0)
        }
        expect(all).toEqual(new Map(facts))
        expect(some).toEqual(new Map(facts.filter(([key]) => isWanted(key))))
      }),
      { numRuns: RUNS_KIND },
    )
  })

  test("are of one block each, tell of every identity once, and are short unless they are of one", () => {
    fc.assert(
      fc.property(arbFacts, (facts) => {
        const told: Array<number> = []
        for (const fragment of pack(facts)) {
          const keys: Array<number> = []
          unpackFragment(fragment, (key) => keys.push(key))
          expect([...byBlock(keys)]).toEqual([[fragment.block, fragment.held]])
          if (keys.length > 1) expect(fragment.bytes.length).toBeLessThanOrEqual(FRAGMENT_BYTES)
          told.push(...keys)
        }
        expect(told).toEqual(facts.map(([key]) => key))
      }),
      { numRuns: RUNS_KIND },
    )
  })

  test("of several are short whatever texts come, also those of one that went elsewhere", () => {
    const row = (value: string): FactRow => ({ value, month: 680, mask: 1, points: EMPTY_POINTS })
    const light: ReadonlyArray<FactRow> = [row("")]
    const heavy = Array.from({ length: 2_000 }, (_, n) => row(`value ${n}`))
    const alike = (texts: (n: number) => string) => Array.from({ length: 32 }, (_, n) => [n, [row(texts(n))]] as const)
    for (const facts of [
      [[0, light] as const, [1, light] as const, [2, heavy] as const, [3, light] as const],
      alike((n) => "дом".repeat(20) + n),
      alike((n) => "\u0001".repeat(60) + n),
      alike((n) => "\ud800".repeat(60) + n),
    ]) {
      const told: Array<unknown> = []
      for (const fragment of packFragments(facts)) {
        const keys: Array<number> = []
        unpackFragment(fragment, (key, fact) => {
          keys.push(key)
          told.push([key, [...fact.values()]])
        })
        if (keys.length > 1) expect(fragment.bytes.length).toBeLessThanOrEqual(FRAGMENT_BYTES)
      }
      expect(told).toEqual(facts)
    }
  })

  test("that end too early are an error, and not the end of the process", () => {
    const points = { times: [1_700_000_000_000], keys: [eventKey(0, 9, 1)], labels: ["0"] }
    const [fragment] = packFragments([[1, [{ value: "a", month: 680, mask: 1, points }]]])
    for (let length = 0; length < fragment!.bytes.length; length++) {
      const cut = { ...fragment!, bytes: fragment!.bytes.subarray(0, length) }
      expect(() => unpackFragment(cut, () => undefined)).toThrow()
    }
  })

  test("of a whole block with few days are one", () => {
    const row = { value: "", month: 680, mask: 1, points: EMPTY_POINTS }
    const fragments = packFragments(Array.from({ length: 64 }, (_, n) => [n + 32, [row]] as const))
    expect(fragments.map(({ block, held }) => [block, held])).toEqual([
      [1, -1],
      [2, -1],
    ])
    expect(fragments[0]!.bytes.length).toBeLessThan(32 * 8)
  })
})
