import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import pg from "pg"
import { SINGLES_STREAM } from "./appending.ts"
import { perSecond } from "./timing.ts"

/**
 * The way that most teams write it first: a message per event, an upsert per event, and then its acknowledgement. Only
 * one counter per day and person is kept, so it does far less than the replay that it is compared with.
 */
export const projectOneByOne = async (natsUrl: string, postgresUrl: string, sample: number) => {
  const nats = await connect({ servers: natsUrl })
  const client = new pg.Client(postgresUrl)
  await client.connect()
  try {
    await client.query("CREATE TABLE one_by_one (day date, person text, events bigint, PRIMARY KEY (day, person))")
    const manager = await jetstreamManager(nats)
    await manager.consumers.add(SINGLES_STREAM, { durable_name: "rival", ack_policy: AckPolicy.Explicit })
    const consumer = await jetstream(nats).consumers.get(SINGLES_STREAM, "rival")
    const start = performance.now()
    let done = 0
    for await (const message of await consumer.consume()) {
      const { timestamp, userId, anonymousId } = message.json<{
        readonly timestamp: string
        readonly userId: string | null
        readonly anonymousId: string | null
      }>()
      await client.query(
        `INSERT INTO one_by_one VALUES ($1, $2, 1)
         ON CONFLICT (day, person) DO UPDATE SET events = one_by_one.events + 1`,
        [timestamp.slice(0, 10), userId ?? anonymousId],
      )
      message.ack()
      if (++done === sample) break
    }
    return { eventsPerSecond: perSecond(done, (performance.now() - start) / 1000), sample: done }
  } finally {
    await client.end()
    await nats.close()
  }
}
