import { Effect, type Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"

/** What comes back from a database must not depend on the driver: what every `SqlClient` here must do alike. */
export const sqlValuesContract = (name: string, makeClient: () => Layer.Layer<SqlClient.SqlClient, unknown>): void => {
  describe(`values: ${name}`, () => {
    let runtime: ManagedRuntime.ManagedRuntime<SqlClient.SqlClient, unknown>
    const query = (text: string, params: ReadonlyArray<unknown> = []) =>
      runtime.runPromise(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<Record<string, unknown>>(text, [...params])),
      )
    beforeAll(() => {
      runtime = ManagedRuntime.make(makeClient())
    })
    afterAll(() => runtime.dispose())

    for (const [expression, value] of [
      ["1::int", 1],
      ["1::bigint", 1],
      ["count(*)", 1],
      ["9007199254740991::bigint", 9_007_199_254_740_991],
      ["9223372036854775807::bigint", 9_223_372_036_854_775_807n],
      ["(-9223372036854775808)::bigint", -9_223_372_036_854_775_808n],
      ["0.10::numeric", "0.10"],
      ["12345678901234567890.5::numeric", "12345678901234567890.5"],
      ["1.5::float8", 1.5],
      ["true", true],
      ["NULL", null],
      ["'a'::text", "a"],
      ["'2025-03-30'::date", new Date("2025-03-30T00:00:00Z")],
      ["'2025-03-30 02:30:00.25+00'::timestamptz", new Date("2025-03-30T02:30:00.250Z")],
      ["to_timestamp(1763769600.5)", new Date(1_763_769_600_500)],
      [`'{"a":[1,null,"x"]}'::json`, { a: [1, null, "x"] }],
      [`'{"a":1.5}'::jsonb`, { a: 1.5 }],
      ["ARRAY['a', NULL, 'b,c']::text[]", ["a", null, "b,c"]],
      ["ARRAY[1, NULL, 3]::int[]", [1, null, 3]],
    ] as const) {
      test(`of ${expression}`, async () => {
        expect(await query(`SELECT ${expression} AS value`)).toEqual([{ value }])
      })
    }

    test("of bytes", async () => {
      const [row] = await query("SELECT '\\x00ff10'::bytea AS value")
      expect(row!["value"]).toBeInstanceOf(Uint8Array)
      expect([...(row!["value"] as Uint8Array)]).toEqual([0, 255, 16])
    })

    test("parameters come back as they went in, also in arrays", async () => {
      const text = fc
        .oneof(
          fc.string({ unit: "binary", maxLength: 20 }),
          fc
            .array(fc.constantFrom("\\", '"', "'", "{", "}", ",", "NULL", " ", "\n", "\t", "\\N"), { maxLength: 8 })
            .map((parts) => parts.join("")),
        )
        .map((value) => value.replaceAll("\0", "").replace(/^\ufeff+/, ""))
      const orNull = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null, freq: 5 })
      const row = fc.record({
        text: orNull(text),
        bytes: fc.uint8Array({ maxLength: 12 }),
        large: fc.maxSafeInteger(),
        texts: fc.array(orNull(text), { maxLength: 5 }),
        flags: fc.array(orNull(fc.boolean()), { maxLength: 5 }),
        numbers: fc.array(orNull(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), { maxLength: 5 }),
        floats: fc.array(orNull(fc.double().map((n) => (n === 0 ? 0 : n))), { maxLength: 5 }),
        decimals: fc.array(
          fc.integer().map((n) => `${n}.25`),
          { maxLength: 5 },
        ),
      })
      await fc.assert(
        fc.asyncProperty(row, async ({ text, bytes, large, texts, flags, numbers, floats, decimals }) => {
          const rows = await query(
            `SELECT $1::text AS text, encode($2::bytea, 'hex') AS bytes, $3::bigint AS large, $4::text[] AS texts,
               $5::bool[] AS flags, $6::int[] AS numbers, $7::float8[] AS floats, $8::numeric[]::text[] AS decimals`,
            [text, bytes, large, texts, flags, numbers, floats, decimals],
          )
          expect(rows).toEqual([
            { text, bytes: Buffer.from(bytes).toString("hex"), large, texts, flags, numbers, floats, decimals },
          ])
        }),
        { numRuns: 200 },
      )
    })
  })
}
