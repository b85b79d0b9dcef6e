/** Rebuild and a new metric on an embedded store, measured in a process of its own. Prints JSON. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { recordDefinitions } from "../../src/app/control.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { dataset } from "../servers/data.ts"
import { FUNNEL } from "../servers/projecting.ts"
import { perSecond, round, seconds } from "../servers/timing.ts"
import { applyNewMetric, rebuildAll } from "./change.ts"

const APPEND_EVENTS = 8_000

const peakRssMiB = () => Math.round(process.resourceUsage().maxRSS / 1024)

const measure = Effect.fnUntraced(function* (count: number) {
  const writer = yield* LogWriter
  const events: Array<Event> = []
  for (const event of dataset(count)) {
    events.push(event)
    if (events.length === APPEND_EVENTS) yield* writer.append(events.splice(0))
  }
  yield* writer.append(events)
  yield* recordDefinitions([FUNNEL])
  const projecting = yield* seconds(Projector.use((projector) => projector.project()))
  const first = { eventsPerSecond: perSecond(count, projecting), peakRssMiB: peakRssMiB() }
  const { took, ...compared } = yield* rebuildAll
  return {
    firstProjection: first,
    rebuild: {
      seconds: round(took, 1),
      eventsPerSecond: perSecond(count, took),
      ratioToFirstProjection: round(projecting / took, 2),
      ...compared,
    },
    newMetric: { seconds: round(yield* applyNewMetric, 1) },
    peakRssMiB: peakRssMiB(),
  }
})

const directory = mkdtempSync(join(tmpdir(), "tidemark-bench-"))
try {
  const layer = layerEmbedded({ directory })
  const result = await Effect.runPromise(measure(Number(process.argv[2]) * 1e6).pipe(Effect.provide(layer)))
  console.log(JSON.stringify(result))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
