import { Effect } from "effect"
import { EventLog } from "../domain/log/EventLog.ts"
import { Quarantine } from "../domain/log/Quarantine.ts"
import { LIVE_GROUP, ReadModel } from "../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import { formatInstant } from "../domain/time/instant.ts"
import { readControl } from "./control.ts"

/** What is where: the log, the read model behind it, the quarantine. */
export const status = Effect.fn("status")(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const queries = yield* ReadModelQueries
  const quarantine = yield* Quarantine
  const control = yield* readControl
  const partitions = yield* log.status
  const checkpoints = yield* queries.checkpoints
  const rows = Array.from({ length: log.partitions }, (_, partition) => {
    const held = partitions.find((entry) => entry.partition === partition)
    const checkpoint = checkpoints.find((entry) => entry.group === LIVE_GROUP && entry.position.partition === partition)
    const counts = checkpoint?.counts ?? { projected: 0, duplicates: 0, conflicts: 0, personless: 0 }
    return {
      partition,
      batches: held?.records ?? 0,
      bytes: held?.bytes ?? 0,
      /** Events accepted = projected + duplicates + still to be projected. */
      accepted: held?.events ?? 0,
      ...counts,
      lag: (held?.events ?? 0) - counts.projected - counts.duplicates,
      position: checkpoint?.position ?? null,
      asOf: checkpoint === undefined ? null : formatInstant(checkpoint.logTime),
    }
  })
  return {
    incarnation: log.incarnation,
    settings: control.settings,
    partitions: rows,
    quarantine: {
      lines: Object.fromEntries(yield* quarantine.counts),
      failures: (yield* queries.failures).length,
    },
    metrics: (yield* readModel.measures).map(({ definition, state }) => ({
      name: definition.name,
      version: definition.version,
      state,
    })),
    sizes: yield* queries.sizes,
  }
})
