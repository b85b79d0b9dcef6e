import { Effect, Result } from "effect"
import { expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import { decodeBatch, encodeBatch } from "../../src/domain/log/batch.ts"
import { compileMeasure } from "../../src/domain/measure/compile.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import { EVERYBODY } from "../../src/domain/projection/counted.ts"
import { Fold } from "../../src/domain/projection/Fold.ts"
import { settle } from "../../src/domain/projection/settle.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { eventOf } from "../support/meetings.ts"

const measures = [BUILTIN_METRICS.activeUsers, BUILTIN_METRICS.sessions].map((definition) =>
  compileMeasure(definition, TimeZone.utc),
)

/** What a step changes whose distinct ids are all new, and whether they had their keys before it. */
const changesOf = (events: ReadonlyArray<Event>, beforehand: boolean) => {
  const origin = { writer: "w", number: 1, previous: "", partition: 0, loggedAt: 0 }
  const fold = new Fold(measures, TimeZone.utc)
  fold.add(0, 1, Result.getOrThrow(decodeBatch(encodeBatch(origin, events).bytes)), new Set())
  const keys = Array.from(fold.gathered.keys(), (_, n) => n + 1)
  const rows = [...fold.gathered.keys()].map((distinctId, n) => ({
    key: n + 1,
    distinctId,
    older: false,
    person: n + 1,
    link: null,
  }))
  const known = {
    countedTo: measures.map(() => EVERYBODY),
    identities: () => Effect.succeed({ rows: beforehand ? rows : [], statements: [], newKeys: beforehand ? [] : keys }),
    facts: () => Effect.succeed(measures.map(() => new Map())),
  }
  const members = measures.map((_, id) => ({ id, follows: false }))
  const rules = { mergeWindowMillis: null, zone: TimeZone.utc }
  return Effect.runSync(settle(fold, known, members, rules, beforehand ? keys : null))
}

test("who is new is nobody that turned out to be another, also with a key from before the step", () => {
  const click = (id: string, over: Partial<Event>) =>
    eventOf({ id, kind: "track", name: "click", time: Date.parse("2024-06-15T12:00:00Z"), body: {}, ...over })
  const events = [click("1", { userId: "ann", anonymousId: "d1" }), click("2", { anonymousId: "d1" })]
  const { measures: changed } = changesOf(events, false)
  const causes = changed.flatMap(({ cells }) => cells.map(({ cause }) => cause))
  expect(causes).toContain("late-data")
  expect(changesOf(events, true).measures).toEqual(changed)
})
