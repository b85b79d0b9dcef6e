import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { DistinctId } from "../../../src/domain/identity/distinctId.ts"
import type { Identity } from "../../../src/domain/identity/persons.ts"
import type { FactRow } from "../../../src/domain/measure/Fact.ts"
import { EMPTY_POINTS } from "../../../src/domain/measure/points.ts"
import type { StepChanges } from "../../../src/domain/projection/StepChanges.ts"
import type { DedupeEntry } from "../../../src/domain/projection/DedupeIndex.ts"
import { fingerprintsOf } from "../../../src/domain/projection/fingerprint.ts"
import { ReadModelUnavailable } from "../../../src/domain/projection/errors.ts"
import { type Checkpoint, LIVE_GROUP, type Step } from "../../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../../src/domain/settings.ts"

/** Texts that databases like to spoil: each comes back as it went in, and no two are one. */
export const TEXTS: ReadonlyArray<string> = [
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
export const noise = (length: number, unit: (n: number) => number): string => {
  let state = 1
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return String.fromCharCode(unit(state >>> 8))
  }).join("")
}

export const TOKYO: Settings = { ...DEFAULT_SETTINGS, timeZone: "Asia/Tokyo" }

export const DAY = 19_000
export const RANGE = { from: 0, to: 100_000 }

export const position = (sequence: number, partition = 0) => ({
  incarnation: "inc",
  partition,
  sequence,
  batchId: `w.${partition}.${sequence}`,
})

export const checkpoint = (sequence: number, partition = 0): Checkpoint => ({
  position: position(sequence, partition),
  chain: {
    w: { number: sequence, sum: "00112233445566778899aabbccddeeff", loggedAt: sequence },
    __proto__x: { number: 1, sum: "", loggedAt: 1 },
  },
  logTime: 1_763_769_600_000 + sequence,
  counts: { projected: sequence * 10, duplicates: 2, conflicts: 1, personless: 3 },
})

export const NO_CHANGES: StepChanges = { identities: [], statements: [], measures: [] }

/** A step that is still to be claimed, and what it settles. */
export type Draft = Omit<Step, "epoch"> & { readonly changes: StepChanges }

export const stepOf = (sequence: number, over: Partial<Draft> = {}): Draft => {
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
    revises: () => true,
    ...over,
  }
}

/** A step that changes only cells of measure 1. */
export const cellStep = (
  sequence: number,
  cells: ReadonlyArray<readonly [item: string, stat: string, amount: string, day?: number]>,
  over: Partial<Draft> = {},
): Draft =>
  stepOf(sequence, {
    measures: [1],
    changes: {
      ...NO_CHANGES,
      measures: [
        {
          facts: [],
          cells: cells.map(([item, stat, amount, day = DAY]) => ({
            day,
            item,
            stat,
            amount,
            cause: "late-data" as const,
          })),
        },
      ],
    },
    ...over,
  })

export const identity = (key: number, distinctId: string, over: Partial<Identity> = {}): Identity => ({
  key,
  distinctId: distinctId as DistinctId,
  older: false,
  person: key,
  link: null,
  ...over,
})

export const factRow = (value: string, over: Partial<FactRow> = {}): FactRow => ({
  value,
  month: 650,
  mask: 0b101,
  points: EMPTY_POINTS,
  ...over,
})

/** What is kept of a batch whose events all count. */
export const dedupeEntry = (sequence: number, loggedAt: number, ids: ReadonlyArray<string>): DedupeEntry => ({
  sequence,
  loggedAt,
  fingerprints: fingerprintsOf(ids),
})

/** Fails a commit that was only made to look something up, so that nothing of it is kept. */
export const ONLY_LOOKED = new ReadModelUnavailable({
  attempted: "write",
  reason: "it was only looked",
  retryable: false,
})

/** Fragments of one identity that may lie beside each other, however many steps have added to them. */
export const FRAGMENTS_BOUND = 8

export const TABLES = [
  "settings",
  "measures",
  "checkpoints",
  "distinct_ids",
  "aliases",
  "facts",
  "counting",
  "cells",
  "dedupe",
  "duplicates",
  "quarantine",
]

/** Every row of every table of ours. */
export const dump = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows: Record<string, ReadonlyArray<string>> = {}
  for (const table of TABLES) {
    const found = yield* sql<{ readonly row: string }>`SELECT row_to_json(t)::text AS row FROM ${sql(table)} t`
    rows[table] = found.map(({ row }) => row).sort()
  }
  return rows
})

/** Columns, indexes and views of ours, as the database describes them. */
export const layout = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly row: string }>`
    SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS row
    FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = current_schema()`
  return rows.map(({ row }) => row).sort()
})

export const bySpelling =
  <A>(nameOf: (row: A) => string) =>
  (a: A, b: A) =>
    nameOf(a) < nameOf(b) ? -1 : 1
