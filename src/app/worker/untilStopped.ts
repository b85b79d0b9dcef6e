import { Effect } from "effect"
import { WorkerState } from "./WorkerState.ts"

const SIGNALS = ["SIGTERM", "SIGINT"] as const

/** What is in hand is finished within this time, or given up: whoever sent the signal kills soon after. */
const FINISH_MILLIS = 9_000

/** A process that is done ends by itself within this time, unless an attempt to connect has left something open. */
const END_MILLIS = 200

/** Ends the process with success after a while, if there is still anything that keeps it. */
const endWithin = (millis: number): void => {
  // oxlint-disable-next-line no-restricted-globals -- unlike Effect's timers it must not keep a process that is done
  setTimeout(() => process.exit(0), millis).unref()
}

/**
 * Returns when the process is told to stop. From now on the signals interrupt nothing else, and more of them change nothing of
 * what is finished: a terminal tells all processes of a command at once, and some of these tell those below them again.
 */
const told = Effect.callback<void>((resume) => {
  const others = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const)
  let isTold = false
  const stop = () => {
    if (!isTold) endWithin(FINISH_MILLIS)
    isTold = true
    resume(Effect.void)
  }
  for (const signal of SIGNALS) process.removeAllListeners(signal).on(signal, stop)
  return Effect.sync(() => {
    for (const [signal, listeners] of others) {
      process.removeListener(signal, stop)
      for (const listener of listeners) process.on(signal, listener)
    }
  })
})

/**
 * Runs a worker, from the opening of its store on, until the process is told to stop, by SIGTERM or SIGINT. The work is then
 * interrupted, which is a success once its scopes have closed. A step that can't be finished in time is given up, and the next
 * owner does it again.
 */
export const untilStopped = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<void, E, R> =>
  Effect.andThen(
    Effect.raceFirst(told, work),
    Effect.sync(() => endWithin(END_MILLIS)),
  )

/**
 * What a worker does whose layers are open: nothing by itself, for as long as it isn't interrupted. Fails when this process can
 * do nothing any more with the tables that there are: the partitions are for others, or for it once it is started anew.
 */
export const beWorker = Effect.flatMap(WorkerState, (state) =>
  state.ended.pipe(
    Effect.onInterrupt(() =>
      Effect.logInfo("The worker was told to stop: it finishes the steps in hand and lets go of its partitions."),
    ),
    Effect.ensuring(state.stopping),
  ),
)
