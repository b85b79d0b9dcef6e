/** One size of store, measured in a process of its own: append, project, ask, rebuild. Prints JSON. */
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { Analytics } from "../src/app/Analytics.ts"
import { layerEmbedded } from "../src/app/embedded.ts"
import { LogWriter } from "../src/app/LogWriter.ts"
import { Projector } from "../src/app/projection/Projector.ts"
import type { Event } from "../src/domain/event/Event.ts"
import { simulatedEvents } from "./events.ts"

const APPEND_EVENTS = 8000
const QUERIES = 30

const MIB = 2 ** 20

const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => (performance.now() - start) / 1000)
  })

/** Milliseconds of the middle and of the slowest of several runs. */
const latency = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const times: Array<number> = []
    for (let n = 0; n < QUERIES; n++) times.push((yield* seconds(effect)) * 1000)
    times.sort((a, b) => a - b)
    return { medianMillis: Number(times[QUERIES >>> 1]!.toFixed(1)), maxMillis: Number(times[QUERIES - 1]!.toFixed(1)) }
  })

const measure = (count: number, directory: string) =>
  Effect.gen(function* () {
    const writer = yield* LogWriter
    const projector = yield* Projector
    const analytics = yield* Analytics
    let appended = 0
    let appending = 0
    let events: Array<Event> = []
    const append = Effect.suspend(() => {
      appended += events.length
      const batch = events
      events = []
      return Effect.map(seconds(writer.append(batch)), (took) => {
        appending += took
      })
    })
    for (const event of simulatedEvents(count)) {
      events.push(event)
      if (events.length === APPEND_EVENTS) yield* append
    }
    yield* append
    const projecting = yield* seconds(projector.project())
    const rss = process.memoryUsage().rss
    const queries = {
      activeUsersByDay: yield* latency(analytics.activeUsers()),
      activeUsersRolling30: yield* latency(analytics.activeUsers({ interval: "rolling-30" })),
      adoption: yield* latency(analytics.adoption()),
      sessions: yield* latency(analytics.sessions()),
      adHocFunnelSeconds: Number(
        (yield* seconds(
          analytics.funnel({
            formula: { kind: "funnel", steps: [{ event: "page_view" }, { event: "sign_up" }, { event: "purchase" }] },
          }),
        )).toFixed(2),
      ),
    }
    const rebuilding = yield* seconds(projector.rebuild())
    return {
      events: appended,
      appendedEventsPerSecond: Math.round(appended / appending),
      projectedEventsPerSecond: Math.round(appended / projecting),
      rebuiltEventsPerSecond: Math.round(appended / rebuilding),
      logBytesPerEvent: Number((statSync(join(directory, "log.db")).size / appended).toFixed(1)),
      rssAfterProjectingMiB: Math.round(rss / MIB),
      peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
      queries,
    }
  })

const directory = mkdtempSync(join(tmpdir(), "tidemark-bench-"))
try {
  const layer = Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory })))
  const result = await Effect.runPromise(measure(Number(process.argv[2]) * 1e6, directory).pipe(Effect.provide(layer)))
  console.log(JSON.stringify(result))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
