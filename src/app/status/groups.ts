import { Effect } from "effect"
import { EventLog, isEvents, type PartitionStatus } from "../../domain/log/EventLog.ts"
import type { Position } from "../../domain/log/position.ts"
import { ALL_PARTITIONS, EVERY_MEASURE, type Outlook } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, type Build } from "../../domain/projection/ReadModel.ts"
import { type ClaimedPartition, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { type ReceivedReport, WorkerReports } from "../../domain/projection/WorkerReports.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { lagOf } from "./lag.ts"

/** A worker reports every few seconds; one that has not for so long is not there. */
const REPORT_SECONDS_MAX = 15

/** Partitions whose lag is measured at once. */
const CONCURRENCY = 4

/** How far each projector group is in each partition, and who works on it. */
export const groupStatus = Effect.fnUntraced(function* (
  held: ReadonlyArray<PartitionStatus>,
  measures: ReadonlyArray<Build>,
  outlook: Outlook,
  concerns: (group: string, partition: number) => boolean = () => true,
) {
  const log = yield* EventLog
  const claims = yield* ReadModelQueries.use(({ claims }) => claims)
  const reports = yield* WorkerReports.use(({ all }) => all)
  const failures = yield* ReadModelQueries.use(({ failures }) => failures)
  const counting = yield* ReadModelQueries.use(({ counting }) => counting)
  const recordsOfAll = held.reduce((sum, { partition, records }) => sum + (isEvents(partition) ? records : 0), 0)
  // Also a group that nobody has begun to work for: it is behind by all there is.
  const names = new Set([LIVE_GROUP, ...measures.map(({ group }) => group), ...claims.map(({ group }) => group)])
  return yield* Effect.forEach(names, (group) =>
    Effect.map(
      Effect.forEach(
        Array.from({ length: log.partitions }, (_, partition) => partition).filter((partition) =>
          concerns(group, partition),
        ),
        Effect.fnUntraced(function* (partition) {
          const claim = claims.find((it) => it.group === group && it.partition === partition)
          const ofPartition = held.find((it) => it.partition === partition)
          const reached = claim?.checkpoint?.position.sequence ?? 0
          /** Events that were isolated, and so are neither projected nor to come. */
          const quarantined = failures.filter(
            (it) => it.metric === EVERY_MEASURE && it.partition === partition && it.sequence <= reached,
          ).length
          const lag = yield* lagOf(claim?.checkpoint ?? null, ofPartition, recordsOfAll, quarantined)
          const report = reports.find(
            (it) => it.group === group && it.partition === partition && it.owner === claim?.owner,
          )
          return {
            partition,
            ...standing(claim, ofPartition?.last ?? null),
            quarantined,
            lag,
            ...working(claim, report),
            ...standingStill(outlook, group, partition, report),
          }
        }),
        { concurrency: CONCURRENCY },
      ),
      (partitions) => ({
        group,
        lag: worstOf(partitions.map(({ lag }) => lag)),
        /** While persons are yet to be counted, which is once everything is gathered: the share that is; else `null`. */
        counted: counting.get(group) ?? null,
        partitions,
      }),
    ),
  )
})

export type GroupStatus = Effect.Success<ReturnType<typeof groupStatus>>[number]

const standing = (claim: ClaimedPartition | undefined, target: Position | null) => ({
  /** The last position that is in the read model. */
  position: claim?.checkpoint?.position ?? null,
  /** The last position in the log. */
  target,
  counts: claim?.checkpoint?.counts ?? { projected: 0, duplicates: 0, conflicts: 0, personless: 0 },
  asOf: claim?.checkpoint == null ? null : formatInstant(claim.checkpoint.logTime),
  epoch: claim?.epoch ?? null,
  claimedAt: claim === undefined ? null : formatInstant(claim.claimedAt),
  committedAt: claim?.committedAt == null ? null : formatInstant(claim.committedAt),
})

/** Who works on it now. A claim alone says only who did last. */
const working = (claim: ClaimedPartition | undefined, report: ReceivedReport | undefined) => {
  const isThere = report !== undefined && report.ageSeconds <= REPORT_SECONDS_MAX
  return {
    /** The last to claim it. */
    owner: claim?.owner ?? null,
    /** What its owner does; `gone` when it doesn't say any more, `null` when it never did. */
    phase: report === undefined ? null : isThere ? report.phase : "gone",
    eventsPerSecond: isThere ? report.eventsPerSecond : null,
  }
}

/** Why it does not go on: somebody paused it, or it failed and says so even when its worker is gone. */
const standingStill = (
  { pauses, stops }: Outlook,
  group: string,
  partition: number,
  report: ReceivedReport | undefined,
) => {
  const pause = pauses.find(
    (it) => (it.group ?? group) === group && (it.partition === partition || it.partition === ALL_PARTITIONS),
  )
  const trouble = stops.find((it) => it.group === group && it.partition === partition) ?? report?.trouble ?? null
  return {
    pause:
      pause === undefined ? null : { cause: pause.cause, sentence: pause.sentence, since: formatInstant(pause.since) },
    lastError: trouble === null ? null : { sentence: trouble.sentence, since: formatInstant(trouble.since) },
  }
}

const worstOf = (
  lags: ReadonlyArray<{ readonly events: number; readonly exact: boolean; readonly seconds: number }>,
) => ({
  events: lags.reduce((sum, { events }) => sum + events, 0),
  exact: lags.every(({ exact }) => exact),
  seconds: Math.max(0, ...lags.map(({ seconds }) => seconds)),
})
