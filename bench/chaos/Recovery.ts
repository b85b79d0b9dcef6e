import { setTimeout as pause } from "node:timers/promises"
import { CONTROL_PARTITION, EventLog } from "../../src/domain/log/EventLog.ts"
import type { World } from "./world.ts"

/** Nothing takes longer; what does has not recovered. */
const RECOVERY_MILLIS_MAX = 120_000

const LOOK_MILLIS = 100

/**
 * Waits until every partition has projected what is in the log now, and gives how long that took in ms, `null` for too
 * long. Servers that are away meanwhile are part of the wait.
 */
export const whenCaughtUp = async (world: World): Promise<number | null> => {
  const began = performance.now()
  const late = () => performance.now() - began > RECOVERY_MILLIS_MAX
  const ends = await insist(() => world.runtime.runPromise(EventLog.use(({ status }) => status)), late)
  if (ends === null) return null
  while (!late()) {
    const positions = await insist(() => positionsIn(world), late)
    const behind = ends.some(
      ({ partition, last }) =>
        partition !== CONTROL_PARTITION && last !== null && (positions?.get(partition) ?? 0) < last.sequence,
    )
    if (!behind) return Math.round(performance.now() - began)
    await pause(LOOK_MILLIS)
  }
  return null
}

const positionsIn = async (world: World): Promise<ReadonlyMap<number, number>> => {
  const rows = await world.postgres.query(
    "SELECT partition, coalesce(sequence, 0)::int AS sequence FROM tidemark.checkpoints WHERE projector_group = 'live'",
  )
  return new Map(rows.map(({ partition, sequence }) => [partition, sequence]))
}

const insist = async <A>(ask: () => Promise<A>, late: () => boolean): Promise<A | null> => {
  while (!late()) {
    try {
      return await ask()
    } catch {
      await pause(LOOK_MILLIS)
    }
  }
  return null
}
