import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { LogWriter } from "../../src/app/LogWriter.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { LIVE_GROUP } from "../../src/domain/projection/ReadModel.ts"
import { percentiles } from "./timing.ts"

/** Pause between events, ms: about twenty a second. */
const PAUSE_MILLIS = 40

/** How often the read model is looked at, ms: so much may be added to what is measured. */
const LOOK_MILLIS = 2

/** From the moment that an event was accepted to the moment that a query sees it, at light load. */
export const acceptedToVisible = Effect.fnUntraced(function* (samples: number) {
  const writer = yield* LogWriter
  const sql = yield* SqlClient.SqlClient
  const millis: Array<number> = []
  for (let n = 0; n < samples; n++) {
    const [position] = yield* writer.append([eventNow(n)])
    const accepted = performance.now()
    for (;;) {
      const found = yield* sql`SELECT 1 FROM checkpoints WHERE projector_group = ${LIVE_GROUP}
        AND partition = ${position!.partition} AND sequence >= ${position!.sequence}`
      if (found.length > 0) break
      yield* Effect.sleep(LOOK_MILLIS)
    }
    millis.push(performance.now() - accepted)
    yield* Effect.sleep(PAUSE_MILLIS)
  }
  return percentiles(millis)
})

/** An event of one of the known persons. */
const eventNow = (n: number): Event => {
  const time = Date.UTC(2026, 5, 30, 12) + n
  return {
    id: randomUUID(),
    kind: "track",
    name: n % 2 === 0 ? "page_view" : "feature_used",
    userId: `user-${String((n * 7919) % 50_000).padStart(6, "0")}`,
    anonymousId: null,
    sessionId: null,
    time,
    timestamp: time,
    sentAt: null,
    receivedAt: time,
    warnings: [],
    body: { properties: { feature_name: "feature_1", path: "/" } },
  }
}
