import { Effect } from "effect"
import { Projector } from "../../src/app/projection/Projector.ts"
import { CONTROL_PARTITION, EventLog } from "../../src/domain/log/EventLog.ts"
import { LIVE_GROUP } from "../../src/domain/projection/ReadModel.ts"
import { dump } from "./Books.ts"
import { failureOf, write } from "./processes.ts"
import { everywhere, NAMES_DAMAGE, renamed, type Scene } from "./Scene.ts"
import type { StoredRecord } from "./SimulatedLog.ts"

const project = Projector.use((projector) => projector.project())
const rebuild = Projector.use((projector) => projector.rebuild())

/** Damages the log, and expects that it is found and never projected. */
export const damage = (scene: Scene): void => {
  const { world, servers, books, tail, random, runAlone } = scene
  const { log, readModel } = servers
  const stands = (partition: number) =>
    partition === CONTROL_PARTITION
      ? (readModel.tables.controlEnd?.position.sequence ?? 0)
      : (readModel.tables.rowOf(LIVE_GROUP, partition)?.checkpoint?.position.sequence ?? 0)

  let whole: ReadonlyArray<StoredRecord> = []
  let damaged: StoredRecord | undefined
  let kind: Hurt | undefined
  // One writer: what it knows of its own chains goes on after the damage.
  runAlone(
    "writer",
    Effect.gen(function* () {
      yield* write({ what: "events", events: [...renamed(tail, "unread"), ...everywhere(tail, "unread")] })
      whole = log.records.map((record) => ({ ...record }))
      // The first record of a stream may be gone by retention: then its loss says nothing.
      damaged = random.oneOf(log.records.slice(1))
      kind = hurt(scene, damaged)
      yield* write({ what: "events", events: everywhere(tail, "after") })
    }),
  )
  const { partition, sequence } = damaged!
  const known = stands(partition)
  const before = dump(readModel.tables)
  const error = failureOf(runAlone("judge", project))
  const mustNotice = partition === CONTROL_PARTITION || sequence >= known
  const place = `record ${partition}/${sequence}`
  if (error === null && mustNotice) books.violations.push(`the damage at ${place} was not noticed`)
  if (error !== null && !NAMES_DAMAGE.includes(error._tag))
    books.violations.push(`the damage at ${place} was called ${error._tag}: ${error.message}`)
  if (error !== null && dump(readModel.tables) !== before) {
    // Whatever was projected before it was found is right: of what was written, or, where numbers are given again, of
    // what is there now.
    const written = log.records.filter(({ batchId }) => whole.every((record) => record.batchId !== batchId))
    books.checkCells(readModel.tables, kind === "the tail is lost" ? log.records : [...whole, ...written])
  }
  world.note(`judge says ${error?._tag ?? "nothing"} of ${place}`)
  const stood = dump(readModel.tables)
  const again = failureOf(runAlone("judge", rebuild))
  const untouched = dump(readModel.tables) === stood
  // Nothing comes after the last control fact that could miss it, but the table that a rebuild empties.
  const isLastControl = partition === CONTROL_PARTITION && log.of(partition).every((other) => other.sequence < sequence)
  if (again === null && isLastControl && !log.shared) return
  if (again === null) books.violations.push(`a rebuild did not notice the damage at ${place}`)
  else if (!NAMES_DAMAGE.includes(again._tag))
    books.violations.push(`a rebuild called the damage at ${place} ${again._tag}: ${again.message}`)
  if (readModel.tables.whole && !untouched)
    books.violations.push("tables that a rebuild left unfinished are called whole")
}

const HURTS = ["a bit is flipped", "a record is lost", "a record is cut", "the tail is lost"] as const

type Hurt = (typeof HURTS)[number]

const hurt = ({ servers: { log }, random, world, met, runAlone, books }: Scene, record: StoredRecord): Hurt => {
  const place = `${record.partition}/${record.sequence}`
  const kind = random.oneOf(HURTS)
  met(kind)
  world.note(`! ${kind} at ${place}`)
  switch (kind) {
    case "a bit is flipped": {
      const bytes = Uint8Array.from(record.bytes)
      bytes[random.between(0, bytes.length - 1)]! ^= 1 << random.between(0, 7)
      record.bytes = bytes
      break
    }
    case "a record is cut":
      record.bytes = record.bytes.slice(0, random.between(0, record.bytes.length - 1))
      break
    case "a record is lost": {
      const last = log.records.at(-1) === record
      log.records = log.records.filter((other) => other !== record)
      const proof = failureOf(
        runAlone(
          "judge",
          EventLog.use((log) => log.prove),
        ),
      )
      const isEnd = last || log.of(record.partition).every(({ sequence }) => sequence < record.sequence)
      if (proof === null && !isEnd) books.violations.push(`the log calls itself whole without ${place}`)
      break
    }
    case "the tail is lost":
      log.records = log.records.slice(0, log.records.indexOf(record))
  }
  return kind
}
