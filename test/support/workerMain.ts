/**
 * A worker as a process of its own, for tests: says what it knows of itself several times a second, as JSON in one line.
 *
 * Argument: options as JSON, see `WorkerOptions` in workers.ts.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Logger, Redacted, Schedule } from "effect"
import { Limits } from "../../src/app/worker/limits.ts"
import { beWorker, untilStopped } from "../../src/app/worker/untilStopped.ts"
import { layerWorker } from "../../src/app/worker/worker.ts"
import { WorkerState } from "../../src/app/worker/WorkerState.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { BatchCursor } from "../../src/domain/projection/BatchCursor.ts"
import { layerJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { layerPostgres } from "../../src/infra/postgres/PostgresClient.ts"
import { layerSqlOperations } from "../../src/infra/sql/SqlOperations.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import type { WorkerOptions } from "./workers.ts"

const options = JSON.parse(process.argv[2]!) as WorkerOptions

/** An event of the name `deadly` ends the process when it is handled. */
const moveTo = BatchCursor.prototype.moveTo
BatchCursor.prototype.moveTo = function (place) {
  moveTo.call(this, place)
  if (options.deadly !== undefined && this.name === options.deadly) process.kill(process.pid, "SIGKILL")
}

/** An event whose properties hold the word `unfoldable` can't be folded by a measure that looks at them. */
const body = Object.getOwnPropertyDescriptor(BatchCursor.prototype, "body")!.get!
Object.defineProperty(BatchCursor.prototype, "body", {
  get(this: BatchCursor) {
    const found = body.call(this) as JsonObject
    if (JSON.stringify(found).includes("unfoldable")) throw new Error("it says that it can't be folded")
    return found
  },
})

/** SIGUSR2 puts its time of day back by an hour. */
process.on("SIGUSR2", () => {
  const before = Date.now
  Date.now = () => before() - 3_600_000
})

const postgres = { url: Redacted.make(options.postgres) }
const store = layerSqlOperations.pipe(
  Layer.provideMerge(layerSqlReadModel),
  Layer.provideMerge(layerPostgres({ ...postgres, acquireTimeout: "5 seconds", poolSize: 6 })),
  Layer.provideMerge(layerJetStreamLog({ servers: options.nats, partitions: options.partitions })),
)

const say = Effect.gen(function* () {
  const state = yield* WorkerState
  writeSync(1, `${JSON.stringify(yield* state.snapshot)}\n`)
})

const main = Effect.gen(function* () {
  yield* say.pipe(Effect.repeat(Schedule.spaced("200 millis")), Effect.forkScoped)
  return yield* beWorker
}).pipe(Effect.scoped)

main.pipe(
  Effect.provide(layerWorker(layerPostgres({ ...postgres, poolSize: 2 })).pipe(Layer.provide(store))),
  Effect.updateService(Limits, (limits) => ({ ...limits, ...options.limits })),
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  untilStopped,
  NodeRuntime.runMain,
)
