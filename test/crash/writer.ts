/**
 * A program that uses the library and is killed. First it says what it finds in the store, as JSON in one line; then it
 * works until it is killed, and says what was acknowledged, each as soon as it is.
 *
 * Arguments: the store's directory, what to do, the first number for its events.
 */
import { writeSync } from "node:fs"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { Analytics } from "../../src/app/Analytics.ts"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { applyMetrics } from "../../src/app/change/apply.ts"
import { rebuild } from "../../src/app/change/rebuild.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { Tracker } from "../../src/app/Tracker.ts"
import { verify } from "../../src/app/verify/verify.ts"
import { decodeBatch } from "../../src/domain/log/batch.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"

const [directory = "", work = "", first = "0", file = ""] = process.argv.slice(2)

/** Written at once, so that what is acknowledged is known even if the next instruction never comes. */
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`)

const layer = Layer.mergeAll(Tracker.layer({ batchSize: 10 }), Analytics.layer).pipe(
  Layer.provideMerge(layerEmbedded({ directory, partitions: 2 })),
)

const look = Effect.gen(function* () {
  const log = yield* EventLog
  const projector = yield* Projector
  yield* projector.project()
  const held: Array<number> = []
  for (let partition = 0; partition < log.partitions; partition++) {
    yield* log.read(partition, 0).pipe(
      Stream.runForEach((record) =>
        Effect.gen(function* () {
          const batch = yield* Effect.fromResult(decodeBatch(record.bytes))
          held.push(...batch.ids.map(Number))
        }),
      ),
    )
  }
  const { differences } = yield* verify()
  const { total } = yield* (yield* Analytics).activeUsers()
  const metrics = yield* (yield* Analytics).events()
  say({ held, differences, counted: total.events, named: metrics.totals.reduce((sum, { events }) => sum + events, 0) })
})

const trackSome = Effect.fn(function* (from: number, count: number) {
  const tracker = yield* Tracker
  for (let n = from; n < from + count; n++) {
    yield* tracker.track({ id: String(n), event: n % 3 === 0 ? "page_view" : "click", userId: `user ${n % 17}` })
  }
  yield* tracker.flush
  say({ acknowledged: [from, from + count] })
})

const doWork = Effect.gen(function* () {
  const projector = yield* Projector
  let next = Number(first)
  // The store must have something to project from the start.
  yield* trackSome(next, 7)
  next += 7
  for (;;) {
    if (work === "rebuild") yield* projector.rebuild()
    else if (work === "rebuild-beside") yield* rebuild()
    else if (work === "metrics") yield* applyMetrics(file)
    else if (work === "project") yield* projector.project()
    yield* trackSome(next, 25)
    next += 25
  }
})

await ManagedRuntime.make(layer).runPromise(Effect.andThen(look, doWork))
