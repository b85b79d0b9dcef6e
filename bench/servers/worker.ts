import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Stream } from "effect"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP } from "../../src/domain/projection/ReadModel.ts"
import type { Stage } from "./stage.ts"

const MAIN = fileURLToPath(new URL("workerMain.ts", import.meta.url))

/** How operators bound the memory of workers: the variables of the image, but for those of its own. */
const memoryBounds = (): Readonly<Record<string, string>> => {
  const dockerfile = readFileSync(new URL("../../Dockerfile", import.meta.url), "utf8")
  const found = dockerfile.matchAll(/^ENV (NODE_OPTIONS|MALLOC_\w+)="?(.*?)"?$/gm)
  return Object.fromEntries(Array.from(found, ([, name, value]) => [name!, value!]))
}

/** How often progress is looked at, ms: finer than what is measured, and nothing beside the work itself. */
const LOOK_MILLIS = 20

export interface WorkerProcess {
  /** The most memory that was resident so far, MiB. */
  readonly peakRssMiB: () => number
  /** Sends SIGTERM and waits for the end. */
  readonly stop: () => Promise<void>
}

/** Starts a worker in a process of its own. */
export const startWorker = ({ natsUrl, postgresUrl }: Stage): WorkerProcess => {
  const child = spawn(
    process.execPath,
    // With the options of this process, such as a profiler's, but those that are for it alone.
    [...process.execArgv.filter((flag) => flag.startsWith("--disable-warning")), MAIN, natsUrl, postgresUrl],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...memoryBounds() } },
  )
  const stopWithUs = () => child.kill("SIGKILL")
  process.once("exit", stopWithUs)
  let maxRssKiB = 0
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("{")) ({ maxRssKiB } = JSON.parse(line) as { maxRssKiB: number })
  })
  return {
    peakRssMiB: () => Math.round(maxRssKiB / 1024),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, "exit")
        child.kill("SIGTERM")
        await gone
      }
      process.off("exit", stopWithUs)
    },
  }
}

/** Where the partitions of events end. */
const ends = Effect.gen(function* () {
  const log = yield* EventLog
  return (yield* log.status).flatMap(({ partition, last }) =>
    partition < 0 || last === null ? [] : [[partition, last.sequence] as const],
  )
})

/** Waits until the default group has projected all that is in the log now, and answers have it. */
export const caughtUp = Effect.gen(function* () {
  const operations = yield* Operations
  const targets = yield* ends
  for (;;) {
    const { ownerships, whole } = yield* operations.look
    const at = new Map(ownerships.flatMap((it) => (it.group === LIVE_GROUP ? [[it.partition, it.sequence]] : [])))
    if (whole && targets.every(([partition, end]) => (at.get(partition) ?? 0) >= end)) return
    yield* Effect.sleep(LOOK_MILLIS)
  }
})

/** Waits until a worker has claimed every partition. */
export const allClaimed = Effect.gen(function* () {
  const log = yield* EventLog
  const operations = yield* Operations
  yield* Stream.runDrain(
    Stream.tick(LOOK_MILLIS).pipe(
      Stream.mapEffect(() => operations.look),
      Stream.takeUntil(({ ownerships }) => ownerships.length >= log.partitions),
    ),
  )
})
