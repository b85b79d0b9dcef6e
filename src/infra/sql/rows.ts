import type { DistinctId } from "../../domain/identity/distinctId.ts"
import type { Identity } from "../../domain/identity/persons.ts"
import type { Position } from "../../domain/log/position.ts"
import { type Fact, factKey, type FactRow } from "../../domain/measure/Fact.ts"
import { decodePoints, EMPTY_POINTS } from "../../domain/measure/points.ts"
import type { Checkpoint } from "../../domain/projection/ReadModel.ts"
import { fromStorable } from "./storableText.ts"

/** A `bigint` or a count as drivers give it: PGlite as a number, others as text. */
export type SqlBigint = number | string

/** A row of `checkpoints`. */
export interface CheckpointRow {
  readonly partition: number
  readonly incarnation: string
  readonly sequence: SqlBigint
  readonly batch_id: string
  readonly chain: Checkpoint["chain"]
  readonly log_time: SqlBigint
  readonly projected: SqlBigint
  readonly duplicates: SqlBigint
  readonly conflicts: SqlBigint
  readonly personless: SqlBigint
}

export const readCheckpoint = (row: CheckpointRow): Checkpoint => {
  const position: Position = {
    incarnation: row.incarnation,
    partition: row.partition,
    sequence: Number(row.sequence),
    batchId: row.batch_id,
  }
  return {
    position,
    chain: row.chain,
    logTime: Number(row.log_time),
    counts: {
      projected: Number(row.projected),
      duplicates: Number(row.duplicates),
      conflicts: Number(row.conflicts),
      personless: Number(row.personless),
    },
  }
}

/** A row of `distinct_ids`. */
export interface IdentityRow {
  readonly key: number
  readonly distinct_id: string
  readonly older: boolean
  readonly person: number
  readonly link_time: SqlBigint | null
  readonly link_user: string | null
}

export const readIdentity = (row: IdentityRow): Identity => ({
  key: row.key,
  distinctId: fromStorable(row.distinct_id) as DistinctId,
  older: row.older,
  person: row.person,
  link:
    row.link_time === null || row.link_user === null
      ? null
      : { time: Number(row.link_time), userId: fromStorable(row.link_user) },
})

/** A row of `facts` as JSON carries it; the points in base 64. */
export type PackedFactRow = readonly [month: number, value: string, mask: number, points: string | null]

/** The fact that the rows of one distinct id make. */
export const unpackFact = (rows: ReadonlyArray<PackedFactRow>): Fact => {
  const fact = new Map<string, FactRow>()
  for (const [month, stored, mask, points] of rows) {
    const value = fromStorable(stored)
    fact.set(factKey(value, month), {
      value,
      month,
      mask,
      points: points === null ? EMPTY_POINTS : decodePoints(Buffer.from(points, "base64")),
    })
  }
  return fact
}
