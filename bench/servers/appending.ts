import { randomUUID } from "node:crypto"
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect } from "effect"
import type { Event } from "../../src/domain/event/Event.ts"
import { attributedTo } from "../../src/domain/identity/distinctId.ts"
import { encodeBatch, type PackedBatch } from "../../src/domain/log/batch.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { partitionOf } from "../../src/domain/log/partition.ts"
import { asJson, dataset } from "./data.ts"
import { perSecond, round, seconds } from "./timing.ts"

const BATCH_EVENTS = 256
/** Batches handed to the log at once, over all partitions. */
const APPEND_BATCHES = 64
const WINDOW = 256

/** Packs events for the log, chained per partition, in full batches; `flush` gives what is left. */
const makePacker = (partitions: number) => {
  const writer = randomUUID()
  const chains = Array.from({ length: partitions }, () => ({ number: 0, sum: "" }))
  const waiting = Array.from({ length: partitions }, (): Array<Event> => [])
  const pack = (partition: number): PackedBatch => {
    const chain = chains[partition]!
    const origin = { writer, number: ++chain.number, previous: chain.sum, partition, loggedAt: Date.now() }
    const batch = encodeBatch(origin, waiting[partition]!)
    chain.sum = batch.sum
    waiting[partition] = []
    return batch
  }
  return {
    add: (event: Event): PackedBatch | null => {
      const partition = partitionOf(attributedTo(event) ?? event.id, partitions)
      waiting[partition]!.push(event)
      return waiting[partition]!.length === BATCH_EVENTS ? pack(partition) : null
    },
    flush: (): ReadonlyArray<PackedBatch> =>
      waiting.flatMap((events, partition) => (events.length === 0 ? [] : [pack(partition)])),
  }
}

/** Appends the whole data set in acknowledged batches of 256; packing is in the time, making the events is not. */
export const appendDataset = Effect.fnUntraced(function* (count: number) {
  const log = yield* EventLog
  const packer = makePacker(log.partitions)
  let batches: Array<PackedBatch> = []
  let events: Array<Event> = []
  let took = 0
  let jsonBytes = 0
  const append = Effect.suspend(() => {
    const part = events
    events = []
    return seconds(
      Effect.suspend(() => {
        for (const event of part) {
          const batch = packer.add(event)
          if (batch !== null) batches.push(batch)
        }
        const ready = batches
        batches = []
        return log.append(ready)
      }),
    ).pipe(
      Effect.map((s) => {
        took += s
      }),
    )
  })
  for (const event of dataset(count)) {
    events.push(event)
    jsonBytes += asJson(event).length
    if (events.length === APPEND_BATCHES * BATCH_EVENTS) yield* append
  }
  yield* append
  took += yield* seconds(log.append(packer.flush()))
  return { eventsPerSecond: perSecond(count, took), jsonBytesPerEvent: round(jsonBytes / count, 1) }
})

/** Bytes that all streams of the server hold: ask before others than the log are there. */
export const logBytes = async (natsUrl: string): Promise<number> => {
  const nats = await connect({ servers: natsUrl })
  try {
    const manager = await jetstreamManager(nats)
    let bytes = 0
    for await (const { state } of manager.streams.list()) bytes += state.bytes
    return bytes
  } finally {
    await nats.close()
  }
}

export const SINGLES_STREAM = "SINGLES"
export const SINGLES_SUBJECT = "singles"

/** One message per event: each acknowledged before the next is sent, and with a window of messages under way. */
export const publishSingles = async (natsUrl: string, sample: number) => {
  const nats = await connect({ servers: natsUrl })
  try {
    const manager = await jetstreamManager(nats)
    await manager.streams.add({ name: SINGLES_STREAM, subjects: [SINGLES_SUBJECT] })
    const client = jetstream(nats)
    const messages = Array.from(dataset(sample), (event) => ({ id: event.id, text: asJson(event) }))
    const start = performance.now()
    for (const { id, text } of messages) await client.publish(SINGLES_SUBJECT, text, { msgID: id })
    const acknowledged = (performance.now() - start) / 1000
    const startWindow = performance.now()
    for (let from = 0; from < messages.length; from += WINDOW) {
      const window = messages.slice(from, from + WINDOW)
      await Promise.all(window.map(({ id, text }) => client.publish(SINGLES_SUBJECT, text, { msgID: `w${id}` })))
    }
    const windowed = (performance.now() - startWindow) / 1000
    await manager.streams.purge(SINGLES_STREAM, { keep: sample })
    return {
      acknowledgedEventsPerSecond: perSecond(sample, acknowledged),
      window256EventsPerSecond: perSecond(sample, windowed),
      sample,
    }
  } finally {
    await nats.close()
  }
}
