import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { Quarantine } from "../../domain/log/Quarantine.ts"
import { Operations } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { readControl } from "../control.ts"
import { COORDINATOR } from "../worker/coordinator.ts"
import { balanceOf } from "./balance.ts"
import { groupStatus } from "./groups.ts"

/** What is where: the log, the read model behind it and who works on it, the quarantine. */
export const status = Effect.fn("status")(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const queries = yield* ReadModelQueries
  const quarantine = yield* Quarantine
  const control = yield* readControl
  const held = yield* log.status
  const measures = yield* readModel.measures
  const outlook = yield* Operations.use(({ look }) => look)
  const groups = yield* groupStatus(held, measures, outlook)
  const stopped = outlook.stops.find(({ group }) => group === COORDINATOR)
  const live = groups.find(({ group }) => group === LIVE_GROUP)!
  const partitions = live.partitions.map(({ partition, counts, quarantined, lag, position, asOf }) => {
    const found = held.find((entry) => entry.partition === partition)
    return {
      partition,
      batches: found?.records ?? 0,
      bytes: found === undefined ? 0 : found.bytes,
      /** Counted by the log where it can; else what was projected, and what is still to be. */
      accepted:
        found === undefined ? 0 : (found.events ?? counts.projected + counts.duplicates + quarantined + lag.events),
      ...counts,
      quarantined,
      lag: lag.events,
      position,
      asOf,
    }
  })
  const lines = yield* quarantine.counts
  const failures = yield* queries.failures
  return {
    incarnation: log.incarnation,
    settings: control.settings,
    partitions,
    groups,
    /** Why the coordinator of the workers, which registers metrics and takes over builds, can't go on; `null` when it can. */
    coordinator: stopped === undefined ? null : { sentence: stopped.sentence, since: formatInstant(stopped.since) },
    balance: balanceOf(
      partitions,
      live.lag.exact,
      held.every(({ events }) => events !== null),
    ),
    quarantine: { lines: Object.fromEntries(lines), failures: failures.length },
    metrics: measures.map(({ definition, state }) => ({ name: definition.name, version: definition.version, state })),
    sizes: yield* queries.sizes,
  }
})

export type Status = Effect.Success<ReturnType<typeof status>>
