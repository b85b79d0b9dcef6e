import { isLive, type WorkerSnapshot } from "../worker/WorkerState.ts"
import { PROCESS, WORKER } from "./families.ts"
import type { Sample } from "./SampledSeries.ts"

/** What a worker knows of itself, as series. */
export const sampleWorker = (snapshot: WorkerSnapshot): ReadonlyArray<Sample> => {
  const { startedAt, partitions, dependencies, stopping, stops } = snapshot
  return [
    { family: WORKER.started, value: startedAt / 1000 },
    { family: WORKER.partitions, value: partitions.filter(isLive).length },
    { family: WORKER.stopping, value: stopping ? 1 : 0 },
    { family: WORKER.stops, value: stops.length },
    ...Object.entries(dependencies).map(([dependency, trouble]) => ({
      family: WORKER.dependency,
      labels: { dependency },
      value: trouble === null ? 1 : 0,
    })),
    ...partitions.flatMap((it): ReadonlyArray<Sample> => {
      const labels = { group: it.group, partition: String(it.partition) }
      return [
        { family: WORKER.phase, labels: { ...labels, phase: it.phase }, value: 1 },
        { family: WORKER.committed, labels, value: it.committed },
        { family: WORKER.folded, labels, value: it.taken },
        { family: WORKER.failed, labels, value: it.quarantined },
        { family: WORKER.pending, labels, value: it.pending },
        { family: WORKER.rate, labels, value: it.eventsPerSecond },
        { family: WORKER.oldestPending, labels, value: it.oldestPendingSeconds },
        { family: WORKER.turned, labels, value: it.secondsSinceTurn },
      ]
    }),
  ]
}

/** What the operating system says of this process, as series. */
export const sampleProcess = (): ReadonlyArray<Sample> => {
  const { rss, heapUsed } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return [
    { family: PROCESS.memory, value: rss },
    { family: PROCESS.heap, value: heapUsed },
    { family: PROCESS.cpu, value: (user + system) / 1e6 },
  ]
}
