import { Effect } from "effect"
import { batchIdOf } from "../domain/log/batch.ts"
import { LogDamaged, missingRecords, PositionDiverged } from "../domain/log/errors.ts"
import { EventLog } from "../domain/log/EventLog.ts"
import { type Checkpoint, LIVE_GROUP, type LogEnd, ReadModel } from "../domain/projection/ReadModel.ts"
import { openRecord } from "./readBatches.ts"

/**
 * Reads the record that a saved position names, and compares (docs/explanation/the-log.md): a log that was put back hands out the same
 * sequences and batch ids again, to other events. Gives the record; null where it was removed at the front.
 */
const provePosition = Effect.fnUntraced(function* ({ position: saved, sum }: LogEnd) {
  const log = yield* EventLog
  if (saved.incarnation !== log.incarnation) {
    return yield* new PositionDiverged({ saved, found: `incarnation ${log.incarnation}` })
  }
  const record = yield* log.at(saved.partition, saved.sequence)
  // What retention or a purge removed at the front can't be compared, and says nothing of what comes after it.
  if (record === null && saved.sequence < (yield* log.begins(saved.partition))) return null
  if (record?.position.batchId !== saved.batchId) {
    const found = record === null ? "no batch" : `batch ${record.position.batchId}`
    return yield* new PositionDiverged({ saved, found })
  }
  const batch = yield* openRecord(record)
  if (batch.sum !== sum) {
    return yield* new PositionDiverged({ saved, found: `another batch of the same id (checksum ${batch.sum})` })
  }
  return record
})

/** The end of what a checkpoint has taken in: its position, and the checksum that its chain holds of the batch there. */
export const endOf = ({ position, chain }: Checkpoint): LogEnd => {
  const { partition, batchId } = position
  const ends = Object.entries(chain).flatMap(([writer, { number, sum, late }]) =>
    [{ number, sum }, ...(late === undefined ? [] : [late])].map((end) => ({ writer, ...end })),
  )
  const last = ends.find(({ writer, number }) => batchIdOf({ writer, partition, number }) === batchId)
  return { position, sum: last?.sum ?? "" }
}

/** Proves that the log still holds what a checkpoint has taken in, and gives the place to go on after. */
export const proveCheckpoint = Effect.fnUntraced(function* (checkpoint: Checkpoint | null) {
  if (checkpoint === null) return 0
  return (yield* provePosition(endOf(checkpoint))) ?? checkpoint.position.sequence
})

/** Proves that the log still holds the control facts that the read model is in line with. */
export const proveControl = Effect.gen(function* () {
  const readModel = yield* ReadModel
  const control = yield* readModel.controlEnd
  if (control !== null) yield* provePosition(control)
})

/**
 * Proves every position that the read model stands on, that of the control facts included, and that nothing was removed
 * at the front of the log before it was projected.
 */
export const provePositions = Effect.gen(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  yield* proveControl
  let projected = 0
  for (let partition = 0; partition < log.partitions; partition++) {
    const checkpoint = yield* readModel.checkpoint(LIVE_GROUP, partition)
    if (checkpoint === null) continue
    yield* proveCheckpoint(checkpoint)
    projected = Math.max(projected, checkpoint.position.sequence)
  }
  // The events of all partitions are cut off together.
  const begins = yield* log.begins(0)
  if (projected > 0 && begins > projected + 1) {
    const gone = missingRecords(projected + 1, begins - 1)
    const problem = `${gone}: retention or a purge removed them before they were projected`
    return yield* new LogDamaged({ partition: null, sequence: projected + 1, problem })
  }
})
