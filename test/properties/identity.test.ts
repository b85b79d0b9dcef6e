import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { joinLinks, joinStatements } from "../../src/domain/identity/links.ts"
import { oracle } from "../../src/domain/oracle/oracle.ts"
import { arbPacking, arbShuffled, expectSame, RUNS_PURE } from "../support/laws.ts"
import { PACKED_WHOLE, packLog, projectEvents } from "../support/MemoryReadModel.ts"

/** Who is who: links of devices, statements about pairs of users, and the persons that they make. */

describe("identity", () => {
  const arbLink = fc.option(
    fc.record({ time: fc.integer({ min: 0, max: 3 }), userId: fc.constantFrom("a", "b", "😀", "\uff5e", "") }),
  )

  test("links join associatively, commutatively, idempotently", () => {
    fc.assert(
      fc.property(arbLink, arbLink, arbLink, (a, b, c) => {
        expect(joinLinks(joinLinks(a, b), c)).toEqual(joinLinks(a, joinLinks(b, c)))
        expect(joinLinks(a, b)).toEqual(joinLinks(b, a))
        expect(joinLinks(a, a)).toEqual(a)
        expect(joinLinks(a, null)).toEqual(a)
      }),
      { numRuns: RUNS_PURE },
    )
  })

  test("statements about a pair join associatively, commutatively, idempotently", () => {
    const arb = fc
      .record({ time: fc.integer({ min: 0, max: 3 }), joined: fc.boolean() })
      .map((said) => ({ first: "a", second: "b", ...said }))
    fc.assert(
      fc.property(arb, arb, arb, (a, b, c) => {
        expect(joinStatements(joinStatements(a, b), c)).toEqual(joinStatements(a, joinStatements(b, c)))
        expect(joinStatements(a, b)).toEqual(joinStatements(b, a))
        expect(joinStatements(a, a)).toEqual(a)
      }),
      { numRuns: RUNS_PURE },
    )
  })

  test("merge-order: persons are the oracle's, whatever the order and cutting of links and aliases", () => {
    fc.assert(
      fc.property(arbShuffled(), arbPacking, ({ events, settings, other }, packing) => {
        const { personOf } = oracle(packLog(events, PACKED_WHOLE).input, settings, [])
        const expected = new Map(
          [...personOf].filter(([id]) => !id.endsWith("#older")).sort(([a], [b]) => (a < b ? -1 : 1)),
        )
        expectSame(projectEvents(other, settings, [], packing).personOf, expected)
      }),
      { numRuns: RUNS_PURE },
    )
  })
})
