/**
 * The writer: appends events at a steady rate, and writes the ids of each append that was acknowledged into a file of its
 * own before it goes on. After a failure it appends the same events again. Lines on its input: `pause`, `go on`; it
 * answers `paused` when nothing is under way.
 *
 * Arguments: the servers of NATS, the project, the file, the seed, events per second.
 */
import { openSync, writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as pause } from "node:timers/promises"
import { Effect, Layer, ManagedRuntime } from "effect"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { layerJetStreamLog } from "../../src/infra/nats/JetStreamLog.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { makeLoad } from "./load.ts"

const [servers = "", project = "", file = "", seed = "0", rate = "0"] = process.argv.slice(2)

const APPENDS_A_SECOND = 10

const acknowledged = openSync(file, "a")
const runtime = ManagedRuntime.make(
  LogWriter.layer.pipe(Layer.provide(layerJetStreamLog({ servers: servers.split(","), project, create: false }))),
)
const load = makeLoad(new Random(Number(seed)), `w${seed}`)

let paused = false
createInterface({ input: process.stdin }).on("line", (line) => {
  paused = line === "pause"
})

const perAppend = Number(rate) / APPENDS_A_SECOND
let told = false
for (let due = performance.now(); ; due += 1000 / APPENDS_A_SECOND) {
  if (paused) {
    if (!told) writeSync(1, "paused\n")
    told = true
    await pause(50)
    due = performance.now()
    continue
  }
  told = false
  // What an outage has held up is not made up for: the rate is steady.
  due = Math.max(due, performance.now() - 1000)
  await pause(Math.max(0, due - performance.now()))
  const now = Date.now()
  const events = Array.from({ length: perAppend }, () => load.next(now))
  while (!(await runtime.runPromise(append(events)))) await pause(200)
  writeSync(acknowledged, events.map(({ id }) => `${id}\n`).join(""))
}

function append(events: ReadonlyArray<ReturnType<typeof load.next>>) {
  return LogWriter.use((writer) => writer.append(events)).pipe(
    Effect.as(true),
    Effect.catch(({ message }) => Effect.sync(() => void writeSync(2, `${message}\n`)).pipe(Effect.as(false))),
  )
}
