import { Effect } from "effect"
import { WorkerState } from "./WorkerState.ts"

const SIGNALS = ["SIGTERM", "SIGINT"] as const

/** What is in hand is finished within this time, or given up: whoever sent the signal kills soon after. */
const FINISH_MILLIS = 9_000

/**
 * Returns when the process is told to stop, by SIGTERM or SIGINT. These signals then interrupt nothing: the program ends by
 * itself, with success, once its scopes have closed. A step that can't be finished in time is given up, and the next owner
 * does it again. Fails when this process can do nothing any more with the tables that there are: the partitions are for others, or
 * for it once it is started anew.
 */
export const untilStopped = Effect.gen(function* () {
  const state = yield* WorkerState
  const told = Effect.callback<void>((resume) => {
    const others = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const)
    const stop = () => {
      // oxlint-disable-next-line no-restricted-globals -- unlike Effect's timers it must not keep a process that is done
      setTimeout(() => process.exit(0), FINISH_MILLIS).unref()
      resume(Effect.void)
    }
    for (const signal of SIGNALS) process.removeAllListeners(signal).once(signal, stop)
    return Effect.sync(() => {
      for (const [signal, listeners] of others) {
        process.removeListener(signal, stop)
        for (const listener of listeners) process.on(signal, listener)
      }
    })
  })
  yield* Effect.ensuring(Effect.raceFirst(told, state.ended), state.stopping)
})
