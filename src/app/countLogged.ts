import { Effect } from "effect"
import { EventLog, isEvents } from "../domain/log/EventLog.ts"

/** How many events the log holds; `null` where it can't say without reading them. */
export const countLogged = Effect.gen(function* () {
  const status = yield* EventLog.use((log) => log.status)
  const counts = status.filter(({ partition }) => isEvents(partition)).map(({ events }) => events)
  return counts.every((count) => count !== null) ? counts.reduce((sum, count) => sum + count, 0) : null
})
