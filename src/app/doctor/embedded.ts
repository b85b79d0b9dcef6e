import { statfsSync } from "node:fs"
import { Effect, Result, Stream } from "effect"
import { CONTROL_PARTITION, EventLog } from "../../domain/log/EventLog.ts"
import { readBatches } from "../readBatches.ts"
import { status } from "../status/status.ts"
import { failure, type Finding, MIB, ok, warning } from "./Finding.ts"
import { positionsFinding, quarantineFinding, readModelFindings } from "./storeFindings.ts"

/** Free space under which a warning is due: a large import needs about as much. */
const FREE_BYTES_MIN = 512 * MIB

/**
 * Looks an embedded store over: is the log whole, does the read model stand where it says, is there room, do the clocks
 * agree.
 */
export const doctorEmbedded = Effect.fn("doctorEmbedded")(function* (directory: string) {
  const log = yield* EventLog
  const partitions = [CONTROL_PARTITION, ...Array.from({ length: log.partitions }, (_, n) => n)]
  const whole = yield* Effect.forEach(partitions, wholeness)
  const positions = yield* positionsFinding
  const found = yield* status()
  return [
    ok("node", `Node ${process.version}`),
    ...whole,
    positions,
    ...(yield* readModelFindings(found, 'run "tidemark project --once"')),
    quarantineFinding(found),
    diskFinding(directory),
  ]
})

/** Reads a partition from its first record to its last. */
const wholeness = Effect.fnUntraced(function* (partition: number) {
  const name = partition === CONTROL_PARTITION ? "log, control facts" : `log, partition ${partition}`
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
  return Result.isFailure(read)
    ? failure(name, read.failure.message)
    : ok(name, `whole: ${events} events in ${batches} batches, every checksum and chain right`)
})

const diskFinding = (directory: string): Finding => {
  const disk = statfsSync(directory)
  const free = disk.bavail * disk.bsize
  const room = `${Math.floor(free / MIB)} MiB free on the disk of ${directory}`
  return free < FREE_BYTES_MIN
    ? warning("disk", `${room}; a full disk stops imports (nothing is lost), so make room`)
    : ok("disk", room)
}
