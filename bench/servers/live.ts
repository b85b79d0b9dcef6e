import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { LogWriter } from "../../src/app/LogWriter.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { dataset } from "./data.ts"
import type { Stage } from "./stage.ts"
import { perSecond, seconds } from "./timing.ts"
import { allClaimed, caughtUp, startWorker } from "./worker.ts"

/** Events that come in at once: a collector's flush. */
const APPEND_EVENTS = 2_000

/**
 * A worker projects while events come in as fast as the log takes them, onto tables that hold the whole data set: from
 * the first event appended until the last is visible.
 */
export const measureLive = async (stage: Stage, count: number) => {
  // Of the same persons and days, and new all the same.
  const events = Array.from(dataset(count), (event): Event => ({ ...event, id: randomUUID() }))
  const worker = startWorker(stage)
  try {
    await stage.runtime.runPromise(Effect.andThen(allClaimed, caughtUp))
    const append = Effect.gen(function* () {
      const writer = yield* LogWriter
      for (let from = 0; from < events.length; from += APPEND_EVENTS) {
        yield* writer.append(events.slice(from, from + APPEND_EVENTS))
      }
    })
    const took = await stage.runtime.runPromise(seconds(Effect.andThen(append, caughtUp)))
    return { events: count, eventsPerSecond: perSecond(count, took), peakRssMiB: worker.peakRssMiB() }
  } finally {
    await worker.stop()
  }
}
