import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { CheckpointConflict } from "../../domain/projection/errors.ts"
import { type Claim, LIVE_GROUP, type Step, type StepPlace } from "../../domain/projection/ReadModel.ts"
import { checkSchema } from "./migrations.ts"
import { type CheckpointRow, readCheckpoint } from "./rows.ts"

/** Who owns a (group, partition), and how far it is. */
export const makeCheckpointTables = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const checkpoint = (group: string, partition: number) =>
    Effect.map(
      sql<CheckpointRow>`SELECT * FROM checkpoints WHERE projector_group = ${group} AND partition = ${partition}`,
      (rows) => (rows[0] === undefined ? null : readCheckpoint(rows[0])),
    )

  const claim = (group: string, partition: number, owner: string) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* checkSchema(sql)
        // Waits while the set of measures is changed, which ends the claims that it finds: none may slip in between.
        yield* sql`LOCK TABLE measures IN ROW EXCLUSIVE MODE`
        const [row] = yield* sql<CheckpointRow>`
          INSERT INTO checkpoints (projector_group, partition, epoch, owner)
          VALUES (${group}, ${partition}, nextval('epochs'), ${owner})
          ON CONFLICT (projector_group, partition) DO UPDATE
            SET epoch = excluded.epoch, owner = excluded.owner, claimed_at = now() RETURNING *`
        return { epoch: Number(row!.epoch), checkpoint: readCheckpoint(row!) } satisfies Claim
      }),
    )

  const conflictOf = ({ group, partition, epoch, expected }: StepPlace) =>
    new CheckpointConflict({ group, partition, epoch, expected })

  /** Where the step must still find its checkpoint: the position that it read from, under the epoch of its claim. */
  const claimed = ({ group, partition, epoch, expected }: StepPlace) => sql`
  projector_group = ${group} AND partition = ${partition} AND epoch = ${epoch} AND ${
    expected === null
      ? sql`sequence IS NULL`
      : sql`incarnation = ${expected.incarnation} AND sequence = ${expected.sequence} AND batch_id = ${expected.batchId}`
  }`

  /** Refuses what no claim stands behind. For a step it is only early: what counts there is `moveCheckpoint`. */
  const checkClaim = Effect.fnUntraced(function* (place: StepPlace) {
    const found = yield* sql`SELECT 1 AS found FROM checkpoints WHERE ${claimed(place)}`
    if (found.length !== 1) return yield* conflictOf(place)
  })

  const moveCheckpoint = Effect.fnUntraced(function* (step: Step) {
    const { position, chain, logTime, counts } = step.next
    const values = {
      incarnation: position.incarnation,
      sequence: position.sequence,
      batch_id: position.batchId,
      chain: JSON.stringify(chain),
      log_time: logTime,
      ...counts,
    }
    const moved =
      yield* sql`UPDATE checkpoints SET ${sql.update(values)}, committed_at = now() WHERE ${claimed(step)} RETURNING partition`
    if (moved.length !== 1) return yield* conflictOf(step)
  })

  /** Takes the claims of all owners of the default group away. */
  const newLiveEpochs = sql`UPDATE checkpoints SET epoch = nextval('epochs') WHERE projector_group = ${LIVE_GROUP}`

  return { checkpoint, claim, checkClaim, moveCheckpoint, newLiveEpochs }
})
