import { statfsSync } from "node:fs"
import { Clock, Effect, Result, Stream } from "effect"
import { CONTROL_PARTITION, EventLog } from "../domain/log/EventLog.ts"
import { formatInstant } from "../domain/time/instant.ts"
import { provePositions } from "./provePosition.ts"
import { readBatches } from "./readBatches.ts"
import { status } from "./status/status.ts"

export interface Finding {
  readonly check: string
  readonly outcome: "ok" | "warning" | "failure"
  /** What was found, and where it isn't fine, what that means and what to do. */
  readonly found: string
}

const MIB = 1024 * 1024

/** Free space under which a warning is due: a large import needs about as much. */
const FREE_BYTES_MIN = 512 * MIB

/** A log time further ahead of this clock than this says that a clock is wrong. */
const CLOCK_TOLERANCE_MILLIS = 5 * 60_000

/** Looks a store over: is the log whole, does the read model stand where it says, is there room, do the clocks agree. */
export const doctor = Effect.fn("doctor")(function* (directory: string) {
  const log = yield* EventLog
  const findings: Array<Finding> = []
  const add = (check: string, outcome: Finding["outcome"], found: string) => findings.push({ check, outcome, found })

  add("node", "ok", `Node ${process.version}`)

  for (const partition of [CONTROL_PARTITION, ...Array.from({ length: log.partitions }, (_, n) => n)]) {
    let batches = 0
    let events = 0
    const read = yield* readBatches(partition).pipe(
      Stream.runForEach(({ batch }) =>
        Effect.sync(() => {
          batches++
          events += batch.count
        }),
      ),
      Effect.result,
    )
    const name = partition === CONTROL_PARTITION ? "log, control facts" : `log, partition ${partition}`
    if (Result.isFailure(read)) add(name, "failure", read.failure.message)
    else add(name, "ok", `whole: ${events} events in ${batches} batches, every checksum and chain right`)
  }

  const proven = yield* Effect.result(provePositions)
  if (Result.isFailure(proven)) add("positions", "failure", proven.failure.message)
  else add("positions", "ok", "the log holds what the read model was made from")

  const { partitions, quarantine } = yield* status()
  for (const { partition, lag, projected, asOf } of partitions) {
    const name = `read model, partition ${partition}`
    if (lag > 0) {
      add(name, "warning", `${lag} events are in the log and not in the numbers; run "tidemark project --once"`)
    } else add(name, "ok", `all ${projected} events that count are projected`)
    const now = yield* Clock.currentTimeMillis
    if (asOf !== null && Date.parse(asOf) > now + CLOCK_TOLERANCE_MILLIS) {
      const found = `the log was written at ${asOf}, and this machine says ${formatInstant(now)}; set the clock, or new events are dated wrong`
      add("clock", "warning", found)
    }
  }

  const waiting = Object.values(quarantine.lines).reduce((sum, lines) => sum + (lines ?? 0), 0) + quarantine.failures
  if (waiting === 0) add("quarantine", "ok", "empty")
  else {
    const found = `${waiting} lines wait; "tidemark quarantine list" says why, "replay" tries again, "drop" forgets them`
    add("quarantine", "warning", found)
  }

  const disk = statfsSync(directory)
  const free = disk.bavail * disk.bsize
  const room = `${Math.floor(free / MIB)} MiB free on the disk of ${directory}`
  if (free < FREE_BYTES_MIN)
    add("disk", "warning", `${room}; a full disk stops imports (nothing is lost), so make room`)
  else add("disk", "ok", room)

  return findings
})
