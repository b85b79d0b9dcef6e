/**
 * Emmett with a projection of daily active users, as its documentation shows it: events are appended to streams of the
 * event store, and a consumer with default options runs a raw SQL projection. Prints rates as JSON.
 *
 * Arguments: URL of a PostgreSQL, file of events.
 */
import { readFileSync } from "node:fs"
import { SQL } from "@event-driven-io/dumbo"
import { type Event } from "@event-driven-io/emmett"
import {
  getPostgreSQLEventStore,
  postgreSQLEventStoreConsumer,
  postgreSQLRawSQLProjection,
} from "@event-driven-io/emmett-postgresql"
import pg from "pg"

const [server, file] = process.argv.slice(2) as [string, string]

/** Events appended in one call; a stream each for every user would make Emmett slower still. */
const APPEND_EVENTS = 100

type Tracked = Event<"Tracked", { day: string; person: string; event: string }>

const admin = new pg.Client(server)
await admin.connect()
await admin.query("CREATE DATABASE emmett")
await admin.end()
const url = new URL(server)
url.pathname = "/emmett"
const connectionString = url.href

const events = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line): Tracked => {
    const { timestamp, userId, anonymousId, event } = JSON.parse(line) as Record<string, string>
    return { type: "Tracked", data: { day: timestamp!.slice(0, 10), person: userId ?? anonymousId!, event: event! } }
  })

const dailyActiveUsers = postgreSQLRawSQLProjection<Tracked>({
  name: "daily_active_users",
  canHandle: ["Tracked"],
  evolve: ({ data }) =>
    SQL`INSERT INTO daily_active_users (day, person, events) VALUES (${data.day}::date, ${data.person}, 1)
      ON CONFLICT (day, person) DO UPDATE SET events = daily_active_users.events + 1`,
  init: () =>
    SQL`CREATE TABLE IF NOT EXISTS daily_active_users (
      day date, person text, events bigint, PRIMARY KEY (day, person))`,
})

const store = getPostgreSQLEventStore(connectionString)
await store.schema.migrate()
const startAppend = performance.now()
for (let from = 0; from < events.length; from += APPEND_EVENTS) {
  await store.appendToStream(`visits-${from % 5000}`, events.slice(from, from + APPEND_EVENTS))
}
const appending = (performance.now() - startAppend) / 1000
await store.close()

const consumer = postgreSQLEventStoreConsumer({ connectionString, stopWhen: { noMessagesLeft: true } })
consumer.projector({ processorId: "daily-active-users", projection: dailyActiveUsers })
const startConsume = performance.now()
await consumer.start()
const consuming = (performance.now() - startConsume) / 1000
await consumer.close()

const check = new pg.Client(connectionString)
await check.connect()
const { rows } = await check.query("SELECT sum(events)::int AS events FROM daily_active_users")
await check.end()
if (rows[0].events !== events.length) throw new Error(`Emmett projected ${rows[0].events} of ${events.length} events.`)
console.log(
  JSON.stringify({
    consumedEventsPerSecond: Math.round(events.length / consuming),
    appendedEventsPerSecond: Math.round(events.length / appending),
    sample: events.length,
  }),
)
