import { loadavg } from "node:os"
import { Effect } from "effect"
import { recordDefinitions } from "../../src/app/control.ts"
import { appendDataset } from "../servers/appending.ts"
import { ALL_METRICS, empty, FUNNEL } from "../servers/projecting.ts"
import { openStage } from "../servers/stage.ts"
import { perSecond, round, seconds } from "../servers/timing.ts"
import { allClaimed, caughtUp, startWorker } from "../servers/worker.ts"
import { applyNewMetric, rebuildAll } from "./change.ts"
import { lagBetween, LOOK_MILLIS, trickle } from "./trickle.ts"

/** How long the lag is looked at without a build, before and after it, ms. */
const QUIET_MILLIS = 10_000

/** Rebuilds and a new metric on servers, with live projection of a trickle of events beside them. */
export const measureRebuild = async (count: number) => {
  const stage = await openStage()
  const run = stage.runtime.runPromise
  const say = (what: string) => process.stderr.write(`bench: ${what}\n`)
  try {
    say(`append ${count} events`)
    await run(appendDataset(count))
    await run(recordDefinitions([FUNNEL]))
    await run(empty(ALL_METRICS))
    say("first projection by a worker")
    const first = startWorker(stage)
    const projecting = await run(seconds(caughtUp))
    const firstPeakRssMiB = first.peakRssMiB()
    await first.stop()

    const worker = startWorker(stage)
    const eventsPerSecond = perSecond(count, projecting)
    const beside = await run(besideLive(count, eventsPerSecond, say).pipe(Effect.scoped))
    const peakRssMiB = worker.peakRssMiB()
    await worker.stop()
    return {
      events: count,
      loadAverage: loadavg().map((load) => round(load, 1)),
      firstProjection: { eventsPerSecond, peakRssMiB: firstPeakRssMiB },
      ...beside,
      worker: { peakRssMiB, peakRssBudget: "<= 512 at 10 million events" },
    }
  } finally {
    await stage.close()
  }
}

const besideLive = Effect.fnUntraced(function* (count: number, first: number, say: (what: string) => void) {
  yield* Effect.andThen(allClaimed, caughtUp)
  const { looks, appended } = yield* trickle
  const began = performance.now()
  yield* Effect.sleep(QUIET_MILLIS)

  say("rebuild beside live projection")
  const requested = performance.now()
  const { took, ...compared } = yield* rebuildAll
  const rebuilt = performance.now()
  const events = count + appended()
  yield* Effect.sleep(QUIET_MILLIS)

  say("a new metric beside live projection")
  const applied = performance.now()
  const applying = yield* applyNewMetric
  const live = performance.now()
  yield* Effect.sleep(QUIET_MILLIS)

  const during = looks.filter(({ at }) => at >= requested && at <= rebuilt)
  // The default group stands still for the last stretch, and goes on when what was built is taken over.
  const takenOver = during.findLast(({ building }) => building)!.at
  const takeOver = during.find(({ still }) => still)?.at ?? takenOver
  const eventsPerSecond = perSecond(events, took)
  return {
    trickle: { eventsPerSecond: perSecond(appended(), (performance.now() - began) / 1000) },
    rebuild: {
      seconds: round(took, 1),
      eventsPerSecond,
      ratioToFirstProjection: round(eventsPerSecond / first, 2),
      buildEventsPerSecond: perSecond(events, (takenOver - requested) / 1000),
      standstillMillis: round(during.filter(({ still }) => still).length * LOOK_MILLIS, 0),
      ...compared,
    },
    newMetric: { seconds: round(applying, 1) },
    lag: {
      before: lagBetween(looks, began, requested),
      build: lagBetween(looks, requested, takeOver),
      takeOver: lagBetween(looks, takeOver, takenOver),
      promotion: lagBetween(looks, takenOver, rebuilt),
      after: lagBetween(looks, rebuilt, applied),
      newMetric: lagBetween(looks, applied, live),
      budget: "max <= 5000",
    },
  }
})
