import { Effect, type Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { BulkCopy } from "../../src/infra/sql/BulkCopy.ts"
import { copyBinary } from "../../src/infra/sql/copyBinary.ts"
import { copyText } from "../../src/infra/sql/copyText.ts"

/** A row of the table that the contract copies into: one column of each type in use. */
interface Row {
  readonly place: number
  readonly label: string | null
  readonly flag: boolean | null
  readonly large: bigint | null
  readonly ratio: number | null
  readonly bytes: Uint8Array | null
  readonly texts: ReadonlyArray<string | null>
  readonly numbers: ReadonlyArray<number | null>
  readonly flags: ReadonlyArray<boolean | null>
  readonly blobs: ReadonlyArray<Uint8Array | null>
}

const COLUMNS = ["place", "label", "flag", "large", "ratio", "bytes", "texts", "numbers", "flags", "blobs"] as const

const CREATE = `CREATE TABLE "copied ""here" (
  place integer PRIMARY KEY, numbered integer, label text, flag boolean, large bigint, ratio float8, bytes bytea, texts text[], numbers integer[],
  flags boolean[], blobs bytea[])`

const TABLE = 'copied "here'

/** Texts that a reader of the format could take for something else. */
const HOSTILE = ["", "\\N", "\\.", "NULL", "null", "\t", "\n", "\r", "\r\n", "\\", "\\\\", "\\n", "\\x41", "\\101", '"']
  .concat(["{}", "{a,b}", ",", "'", "a\tb\nc\rd\\e", " padded ", "\b\f\v", "\u0001\u007f", "é€😀", "\u2028"])
  .concat(["\\".repeat(50), "{NULL}", '\\"'])

const text = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.array(fc.constantFrom(...HOSTILE), { maxLength: 6 }).map((parts) => parts.join("")),
  // Postgres' text holds no NUL.
  fc.string({ unit: "binary", maxLength: 30 }).map((value) => value.replaceAll("\0", "").replace(/^\ufeff+/, "")),
)
const orNull = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null, freq: 5 })
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const bytes = fc.uint8Array({ maxLength: 20 })
const row = (place: number): fc.Arbitrary<Row> =>
  fc.record({
    place: fc.constant(place),
    label: orNull(text),
    flag: orNull(fc.boolean()),
    large: orNull(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    ratio: orNull(fc.double()),
    bytes: orNull(bytes),
    texts: fc.array(orNull(text), { maxLength: 5 }),
    numbers: fc.array(orNull(int32), { maxLength: 5 }),
    flags: fc.array(orNull(fc.boolean()), { maxLength: 5 }),
    blobs: fc.array(orNull(bytes), { maxLength: 5 }),
  })
const rows = fc
  .integer({ min: 0, max: 20 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, n) => row(n))))

/** What the database must say about a row: bytes in hexadecimal, a 64-bit number as text, a float as its bits. */
const hex = (value: Uint8Array | null): string | null => (value === null ? null : Buffer.from(value).toString("hex"))
const said = (row: Row) => ({
  ...row,
  large: row.large === null ? null : String(row.large),
  // Postgres' text for a negative zero is not JavaScript's.
  ratio: row.ratio === null ? null : row.ratio + 0,
  bytes: hex(row.bytes),
  blobs: row.blobs.map(hex),
})

/** What every `BulkCopy` must do, whatever database it fills. */
export const bulkCopyContract = (
  name: string,
  makeClient: () => Layer.Layer<SqlClient.SqlClient | BulkCopy, unknown>,
): void => {
  describe(`bulk copy: ${name}`, () => {
    let runtime: ManagedRuntime.ManagedRuntime<SqlClient.SqlClient | BulkCopy, unknown>
    const run = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | BulkCopy>) => runtime.runPromise(effect)

    const copy = (found: ReadonlyArray<Row>) =>
      Effect.flatMap(BulkCopy, ({ copy }) =>
        copy(TABLE, COLUMNS, copyText(found.map((row) => COLUMNS.map((column) => row[column])))),
      )

    const stored = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return yield* sql`SELECT place, label, flag, large::text, ratio, encode(bytes, 'hex') AS bytes, texts, numbers, flags,
        array(SELECT encode(blob, 'hex') FROM unnest(blobs) WITH ORDINALITY AS b(blob, n) ORDER BY n) AS blobs
        FROM ${sql(TABLE)} ORDER BY place`
    })

    const clear = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DELETE FROM ${sql(TABLE)}`)

    beforeAll(async () => {
      runtime = ManagedRuntime.make(makeClient())
      await run(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(CREATE)))
    })
    afterAll(() => runtime.dispose())

    const one: Row = {
      place: 1,
      label: "one",
      flag: true,
      large: 1n,
      ratio: 1,
      bytes: null,
      texts: [],
      numbers: [],
      flags: [],
      blobs: [],
    }

    test("what was copied reads back the same, whatever the text", async () => {
      await fc.assert(
        fc.asyncProperty(rows, async (found) => {
          const back = await run(
            Effect.gen(function* () {
              yield* clear
              yield* copy(found)
              return yield* stored
            }),
          )
          expect(back).toEqual(found.map(said))
        }),
        { numRuns: 100 },
      )
    })

    test("bytes and numbers copied in the binary format read back the same, however many", async () => {
      const copied = fc.array(fc.tuple(int32, fc.uint8Array({ maxLength: 3_000 })), { maxLength: 200 })
      await fc.assert(
        fc.asyncProperty(copied, async (found) => {
          const back = await run(
            Effect.gen(function* () {
              const sql = yield* SqlClient.SqlClient
              yield* clear
              yield* BulkCopy.use(({ copy }) =>
                copy(TABLE, ["place", "numbered", "bytes"], copyBinary(found.map(([n, bytes], i) => [i, n, bytes]))),
              )
              return yield* sql`SELECT numbered, encode(bytes, 'hex') AS bytes FROM ${sql(TABLE)} ORDER BY place`
            }),
          )
          expect(back).toEqual(found.map(([numbered, bytes]) => ({ numbered, bytes: hex(bytes) })))
        }),
        { numRuns: 50 },
      )
    })

    test("copies within the caller's transaction: gone with it", async () => {
      const failure = await run(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* clear
          const seen: Array<number> = []
          yield* sql
            .withTransaction(
              Effect.gen(function* () {
                yield* copy([one])
                seen.push((yield* stored).length)
                return yield* Effect.fail("turned back")
              }),
            )
            .pipe(Effect.ignore)
          return { seen, left: (yield* stored).length }
        }),
      )
      expect(failure).toEqual({ seen: [1], left: 0 })
    })

    test("a refused row is a typed error; nothing of the copy stays and the connection goes on", async () => {
      const result = await run(
        Effect.gen(function* () {
          yield* clear
          const refused = yield* Effect.flip(copy([one, { ...one, label: "again" }]))
          const left = (yield* stored).length
          yield* copy([one])
          return { reason: refused.reason._tag, left, afterwards: (yield* stored).length }
        }),
      )
      expect(result).toEqual({ reason: "UniqueViolation", left: 0, afterwards: 1 })
    })

    test("copies megabytes", async () => {
      const many = Array.from({ length: 50_000 }, (_, place): Row => ({ ...one, place, label: "x".repeat(100) }))
      const count = await run(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* clear
          yield* copy(many)
          return yield* sql`SELECT count(*)::int AS count, sum(length(label))::int AS length FROM ${sql(TABLE)}`
        }),
      )
      expect(count).toEqual([{ count: 50_000, length: 5_000_000 }])
    })
  })
}
