import { isLive, type PartitionState, type WorkerSnapshot } from "../worker/WorkerState.ts"

/** What an endpoint for health says. */
export interface Health {
  readonly ok: boolean
  /** A sentence for each thing that is wrong. */
  readonly problems: ReadonlyArray<string>
  /** Partitions of the live group that this worker owns; with none it stands by. */
  readonly partitions: number
  /**
   * Age of the oldest event of its live partitions that is not in the numbers. A metric that is being built begins with the
   * oldest event there is, and nobody is shown its numbers yet.
   */
  readonly oldestUnprocessedSeconds: number
}

/** A loop that has not turned for so long hangs: longer than the longest statement and its retries may take. */
const LOOP_SECONDS_MAX = 120

/** Whether a loop should turn: one that failed waits for a person, and starting the process anew would not help. */
const shouldTurn = ({ phase }: PartitionState): boolean => phase !== "failed"

/** Whether the process is worth keeping: its loops turn. */
export const livenessOf = (snapshot: WorkerSnapshot, lagSeconds: number): Health => {
  const problems = snapshot.partitions
    .filter((partition) => shouldTurn(partition) && partition.secondsSinceTurn > LOOP_SECONDS_MAX)
    .map((it) => `${it.group}/${it.partition} has not turned for ${Math.round(it.secondsSinceTurn)} s`)
  return health(snapshot, lagSeconds, problems)
}

/** Whether the worker does its work: it reaches what it needs, nothing has failed, and it keeps up. */
export const readinessOf = (snapshot: WorkerSnapshot, lagSeconds: number, lagSecondsMax: number): Health => {
  const { partitions, dependencies, stopping } = snapshot
  const problems = [
    ...(stopping ? ["the worker is stopping"] : []),
    ...Object.values(dependencies).flatMap((trouble) => (trouble === null ? [] : [trouble.sentence])),
    ...partitions
      .filter(({ phase }) => phase === "failed")
      .map(
        ({ group, partition, trouble }) => `${group}/${partition} failed: ${trouble?.sentence ?? "no reason is known"}`,
      ),
    ...snapshot.stops
      .filter((stop) => !partitions.some((it) => it.group === stop.group && it.partition === stop.partition))
      .map(({ group, partition, owner, sentence }) => `${group}/${partition} failed at ${owner}: ${sentence}`),
  ]
  const oldest = oldestOf(snapshot, lagSeconds)
  if (oldest > lagSecondsMax) {
    problems.push(`the oldest unprocessed event is ${Math.round(oldest)} s old, and ${lagSecondsMax} s are allowed`)
  }
  return health(snapshot, lagSeconds, problems)
}

const health = (snapshot: WorkerSnapshot, lagSeconds: number, problems: ReadonlyArray<string>): Health => ({
  ok: problems.length === 0,
  problems,
  partitions: snapshot.partitions.filter(isLive).length,
  oldestUnprocessedSeconds: oldestOf(snapshot, lagSeconds),
})

/** What the loops know, and what an independent look at the log has found: a loop that hangs knows nothing of what came. */
const oldestOf = ({ partitions }: WorkerSnapshot, lagSeconds: number): number => {
  const live = partitions.filter(isLive)
  return Math.max(lagSeconds, ...live.map(({ oldestPendingSeconds }) => oldestPendingSeconds))
}
