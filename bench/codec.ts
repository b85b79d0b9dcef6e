import { Result } from "effect"
import type { Event } from "../src/domain/event/Event.ts"
import { decodeBatch, encodeBatch } from "../src/domain/log/batch.ts"
import { compress, decompress } from "../src/infra/compressed.ts"
import { simulatedEvents } from "./events.ts"

const EVENTS = 100_000
const BATCH = 1000
const REPETITIONS = 7

/** The middle of several timings of the same work, in ms; interleaved by the caller against drift. */
const median = (times: ReadonlyArray<number>): number => [...times].sort((a, b) => a - b)[times.length >>> 1]!

const time = (work: () => number): number => {
  const start = performance.now()
  if (work() < 0) throw new Error("unreachable: keeps the result in use")
  return performance.now() - start
}

/** Opens a batch and reads its hot columns, as a fold does. */
const readBatch = (bytes: Uint8Array): number => {
  const batch = Result.getOrThrow(decodeBatch(bytes))
  let sum = 0
  for (let i = 0; i < batch.count; i++) {
    sum += batch.nameIndex(i) + batch.userIndex(i) + batch.anonymousIndex(i) + batch.times[i]! + batch.ids[i]!.length
  }
  return sum
}

/** Reads the same fields of events stored as one JSON object each. */
const readObjects = (records: ReadonlyArray<Buffer>): number => {
  let sum = 0
  for (const record of records) {
    const event = JSON.parse(record.toString()) as Event
    sum +=
      event.name.length + (event.userId?.length ?? 0) + (event.anonymousId?.length ?? 0) + event.time + event.id.length
  }
  return sum
}

/** The batch codec and its compression against one JSON object per event, in the same run on the same events. */
export const measureCodec = () => {
  const events = [...simulatedEvents(EVENTS)].slice(0, EVENTS)
  const objects = events.map((event) => Buffer.from(JSON.stringify(event)))
  const origin = { writer: "bench", number: 1, previous: "", partition: 0, loggedAt: 0 }
  const packs: Array<ReadonlyArray<Event>> = []
  for (let from = 0; from < events.length; from += BATCH) packs.push(events.slice(from, from + BATCH))
  const batches = packs.map((pack) => encodeBatch(origin, pack).bytes)
  const compressed = batches.map(compress)
  const encode: Array<number> = []
  const compressing: Array<number> = []
  const decompressing: Array<number> = []
  const decode: Array<number> = []
  const decodeBodies: Array<number> = []
  const decodeObjects: Array<number> = []
  for (let n = 0; n < REPETITIONS; n++) {
    encode.push(time(() => packs.reduce((sum, pack) => sum + encodeBatch(origin, pack).count, 0)))
    compressing.push(time(() => batches.reduce((sum, bytes) => sum + compress(bytes).length, 0)))
    decompressing.push(time(() => compressed.reduce((sum, bytes) => sum + decompress(bytes).length, 0)))
    decode.push(time(() => batches.reduce((sum, bytes) => sum + readBatch(bytes), 0)))
    decodeBodies.push(
      time(() => batches.reduce((sum, bytes) => sum + Result.getOrThrow(decodeBatch(bytes)).events().length, 0)),
    )
    decodeObjects.push(time(() => readObjects(objects)))
  }
  const perSecond = (millis: number): number => Math.round(events.length / (millis / 1000))
  const size = (buffers: ReadonlyArray<Uint8Array>) =>
    Math.round(buffers.reduce((sum, bytes) => sum + bytes.length, 0) / events.length)
  return {
    events: events.length,
    eventsPerBatch: BATCH,
    encodedEventsPerSecond: perSecond(median(encode)),
    compressedEventsPerSecond: perSecond(median(compressing)),
    decompressedEventsPerSecond: perSecond(median(decompressing)),
    decodedEventsPerSecond: perSecond(median(decode)),
    decodedWithBodiesEventsPerSecond: perSecond(median(decodeBodies)),
    jsonObjectsEventsPerSecond: perSecond(median(decodeObjects)),
    decodeRatioToJsonObjects: Number((median(decodeObjects) / median(decode)).toFixed(2)),
    bytesPerEvent: size(batches),
    compressedBytesPerEvent: size(compressed),
    jsonObjectBytesPerEvent: size(objects),
  }
}
