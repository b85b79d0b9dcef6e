import type { DistinctId } from "../../domain/identity/distinctId.ts"
import type { AliasStatement } from "../../domain/identity/links.ts"
import type { Identity } from "../../domain/identity/persons.ts"
import type { Position } from "../../domain/log/position.ts"
import type { Checkpoint } from "../../domain/projection/ReadModel.ts"
import { fromStorable } from "./storableText.ts"

/** A `bigint` or a count as drivers give it: PGlite as a number, others as text. */
export type SqlBigint = number | string

/** A row of `checkpoints`; without a position until the first step of its partition. */
export type CheckpointRow = { readonly partition: number; readonly epoch: SqlBigint } & (
  | { readonly [Column in keyof PositionRow]: PositionRow[Column] }
  | { readonly [Column in keyof PositionRow]: null }
)

interface PositionRow {
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

export const readCheckpoint = (row: CheckpointRow): Checkpoint | null => {
  if (row.sequence === null) return null
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

/** A row of `distinct_ids` as JSON carries it. */
export type IdentityRow = readonly [
  key: number,
  distinctId: string,
  older: boolean,
  person: number,
  linkTime: number | null,
  linkUser: string | null,
]

export const readIdentity = ([key, distinctId, older, person, linkTime, linkUser]: IdentityRow): Identity => ({
  key,
  distinctId: fromStorable(distinctId) as DistinctId,
  older,
  person,
  link: linkTime === null || linkUser === null ? null : { time: linkTime, userId: fromStorable(linkUser) },
})

/** A row of `aliases`. */
export interface AliasRow {
  readonly first_user: string
  readonly second_user: string
  readonly time: SqlBigint
  readonly joined: boolean
}

export const readAlias = (row: AliasRow): AliasStatement => ({
  first: fromStorable(row.first_user),
  second: fromStorable(row.second_user),
  time: Number(row.time),
  joined: row.joined,
})
