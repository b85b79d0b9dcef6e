import { Effect, type Scope } from "effect"
import { describe, expect, test } from "vitest"
import type { Quarantine, QuarantinedLine } from "../../src/domain/log/Quarantine.ts"

/** Opens the quarantine of one project; what is kept there stays over closing and opening. */
export type OpenQuarantine = Effect.Effect<Quarantine["Service"], unknown, Scope.Scope>

const line = (n: number, reason: QuarantinedLine["reason"] = "not-json"): QuarantinedLine => ({
  source: "events.ndjson",
  line: n,
  reason,
  detail: "It is no JSON.",
  raw: `{"broken ${n}`,
  context: "{}",
  quarantinedAt: 1_772_000_000_000 + n,
})

/** What every adapter of the quarantine does; `make` gives a new, empty one. */
export const quarantineContract = (name: string, make: () => OpenQuarantine): void => {
  const using = <A, E>(open: OpenQuarantine, use: (quarantine: Quarantine["Service"]) => Effect.Effect<A, E>) =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(open, use)))

  describe(name, () => {
    test("an empty one has nothing", async () => {
      await using(make(), (quarantine) =>
        Effect.gen(function* () {
          expect(yield* quarantine.list(0, 10)).toEqual([])
          expect(yield* quarantine.counts).toEqual(new Map())
          yield* quarantine.add([])
          yield* quarantine.remove([])
          yield* quarantine.remove([7])
        }),
      )
    })

    test("keeps lines whole and in order, also when it is closed and opened", async () => {
      const open = make()
      const lines = [line(1), line(2, "too-large"), line(3)]
      await using(open, (quarantine) => quarantine.add(lines))
      await using(open, (quarantine) =>
        Effect.gen(function* () {
          const held = yield* quarantine.list(0, 10)
          expect(held).toEqual(lines.map((it) => ({ ...it, id: expect.any(Number) })))
          expect(yield* quarantine.list(held[0]!.id, 1)).toEqual([held[1]])
          expect(yield* quarantine.counts).toEqual(
            new Map([
              ["not-json", 2],
              ["too-large", 1],
            ]),
          )
        }),
      )
    })

    test("a line that is there already is kept once; the same text elsewhere is another", async () => {
      await using(make(), (quarantine) =>
        Effect.gen(function* () {
          yield* quarantine.add([line(1), line(1), line(2)])
          yield* quarantine.add([line(1), { ...line(1), source: "other.ndjson" }])
          const held = yield* quarantine.list(0, 10)
          expect(held.map(({ source, line }) => [source, line])).toEqual([
            ["events.ndjson", 1],
            ["events.ndjson", 2],
            ["other.ndjson", 1],
          ])
        }),
      )
    })

    test("what is removed is gone, and its id is not given again", async () => {
      await using(make(), (quarantine) =>
        Effect.gen(function* () {
          yield* quarantine.add([line(1), line(2)])
          const [first, second] = yield* quarantine.list(0, 10)
          yield* quarantine.remove([first!.id, second!.id])
          expect(yield* quarantine.list(0, 10)).toEqual([])
          yield* quarantine.add([line(2)])
          const [again] = yield* quarantine.list(0, 10)
          expect(again!.id).toBeGreaterThan(second!.id)
        }),
      )
    })

    test("any text comes out as it went in", async () => {
      const texts = [
        "",
        "\u0000",
        "a\u0000b",
        "\ud800 alone",
        "'; DROP TABLE x",
        "🌊\\u0000\n\t\\",
        "x".repeat(300_000),
      ]
      await using(make(), (quarantine) =>
        Effect.gen(function* () {
          yield* quarantine.add(texts.map((raw, n) => ({ ...line(n + 1), source: raw.slice(0, 9), raw, detail: raw })))
          const held = yield* quarantine.list(0, 10)
          expect(held.map(({ raw }) => raw)).toEqual(texts)
          expect(held.map(({ detail }) => detail)).toEqual(texts)
        }),
      )
    })
  })
}
