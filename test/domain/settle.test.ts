import { Effect, Result } from "effect"
import { expect, test } from "vitest"
import type { Event } from "../../src/domain/event/Event.ts"
import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
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

const foldOf = (events: ReadonlyArray<Event>): Fold => {
  const origin = { writer: "w", number: 1, previous: "", partition: 0, loggedAt: 0 }
  const fold = new Fold(measures, TimeZone.utc)
  fold.add(0, 1, Result.getOrThrow(decodeBatch(encodeBatch(origin, events).bytes)), new Set())
  return fold
}

/** What a step changes whose distinct ids are all new, and whether they had their keys before it. */
const changesOf = (events: ReadonlyArray<Event>, beforehand: boolean) => {
  const fold = foldOf(events)
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

test("days between which a merge border moves change since persons turn out to be others", () => {
  const at = (day: string) => Date.parse(`${day}T12:00:00Z`)
  const click = (id: string, day: string, over: Partial<Event>) =>
    eventOf({ id, kind: "track", name: "click", time: at(day), body: {}, ...over })
  const before = foldOf([click("1", "2024-05-06", { userId: "ann" }), click("2", "2024-05-06", { anonymousId: "d1" })])
  const fold = foldOf([click("3", "2024-05-31", { userId: "ann", anonymousId: "d1" })])
  // Linked on 15 June, so that the device's click in May was not yet ann's.
  const link = { time: at("2024-06-15"), userId: "ann" }
  const older = { key: -2, distinctId: "a:d1", older: true, person: -2, link: null } as const
  const rows = [
    { key: 1, distinctId: "u:ann", older: false, person: 1, link: null },
    { key: 2, distinctId: "a:d1", older: false, person: 1, link },
    older,
  ] as const
  const factOf = (id: DistinctId, m: number) => before.gathered.get(id)!.factOf(m)
  const known = {
    countedTo: measures.map(() => EVERYBODY),
    identities: () => Effect.succeed({ rows, statements: [], newKeys: [] }),
    facts: () =>
      Effect.succeed(
        measures.map(
          (_, m) =>
            new Map([
              [1, factOf("u:ann", m)],
              [-2, factOf("a:d1", m)],
            ]),
        ),
      ),
  }
  const members = measures.map((_, id) => ({ id, follows: false }))
  const rules = { mergeWindowMillis: 30 * 86_400_000, zone: TimeZone.utc }
  const { measures: changed } = Effect.runSync(settle(fold, known, members, rules, null))
  const users = changed[0]!.cells.filter(
    ({ stat, day }) => stat === "users" && day === TimeZone.utc.dayOf(at("2024-05-06")),
  )
  expect(users.map(({ amount, cause }) => [amount, cause])).toEqual([["-1", "identity"]])
})
