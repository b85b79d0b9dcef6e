import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { DedupeIndex } from "../../src/domain/projection/DedupeIndex.ts"
import { DedupeTable, TABLE_EVENTS_MAX } from "../../src/domain/projection/DedupeTable.ts"
import { fingerprintsOf } from "../../src/domain/projection/fingerprint.ts"

const HORIZON = 100

interface Logged {
  readonly at: number
  readonly ids: ReadonlyArray<string>
}

/** Batches in log order. */
const logs = fc
  .array(fc.record({ later: fc.nat(60), ids: fc.array(fc.nat(40).map(String), { minLength: 1, maxLength: 12 }) }), {
    maxLength: 40,
  })
  .map((batches): ReadonlyArray<Logged> => {
    let at = 1000
    return batches.map(({ later, ids }) => ({ at: (at += later), ids }))
  })

/** Decides as a worker does which events are repeats, from the batch numbered `from` on. */
const decide = (index: DedupeIndex, log: ReadonlyArray<Logged>, from: number) =>
  log.slice(from).map(({ at, ids }, n) => {
    const entry = index.begin(from + n, at, ids)
    const repeats = ids.map((id, place) => {
      const isRepeat = index.candidatesOf(place).some((it) => log[it.sequence]!.ids[it.place] === id)
      if (isRepeat) index.leaveOut(place)
      else index.keep(place)
      return isRepeat
    })
    return { repeats, entry }
  })

/** The rule itself: an event counts unless its id has counted within the horizon. */
const decideByRule = (log: ReadonlyArray<Logged>, horizon: number) => {
  const counted: Array<{ readonly id: string; readonly at: number }> = []
  return log.map(({ at, ids }) =>
    ids.map((id) => {
      const isRepeat = counted.some((it) => it.id === id && it.at >= at - horizon)
      if (!isRepeat) counted.push({ id, at })
      return isRepeat
    }),
  )
}

describe("the ids of the horizon", () => {
  test("a repeat is what has counted within the horizon, and nothing else", () => {
    fc.assert(
      fc.property(logs, fc.constantFrom(HORIZON, 0, null), (log, horizon) => {
        const decided = decide(new DedupeIndex(horizon), log, 0)
        expect(decided.map(({ repeats }) => repeats)).toEqual(decideByRule(log, horizon ?? Number.POSITIVE_INFINITY))
      }),
    )
  })

  test("what is held is the horizon's, and a quarter of it more", () => {
    fc.assert(
      fc.property(logs, (log) => {
        const index = new DedupeIndex(HORIZON)
        for (const [n, { at, ids }] of log.entries()) {
          index.begin(n, at, ids)
          ids.forEach((_, place) => index.keep(place))
          const eventsOf = (millis: number) =>
            log.slice(0, n + 1).reduce((sum, it) => sum + (it.at >= at - millis ? it.ids.length : 0), 0)
          expect(index.size).toBeGreaterThanOrEqual(eventsOf(HORIZON))
          expect(index.size).toBeLessThanOrEqual(eventsOf(1.25 * HORIZON))
        }
      }),
    )
  })

  test("who goes on from what was stored decides the same", () => {
    fc.assert(
      fc.property(logs, fc.nat(40), (log, cut) => {
        const whole = decide(new DedupeIndex(HORIZON), log, 0)
        const resumed = new DedupeIndex(HORIZON)
        const since = resumed.horizonAt(log[Math.min(cut, log.length) - 1]?.at ?? 0)
        for (const { entry } of whole.slice(0, cut)) if (entry.loggedAt >= since) resumed.add(entry)
        const after = whole.slice(cut).map(({ repeats }) => repeats)
        expect(decide(resumed, log, cut).map(({ repeats }) => repeats)).toEqual(after)
      }),
    )
  })
})

describe("a table of ids", () => {
  test("finds those that count among a hundred thousand, each at its place, and no others", () => {
    const table = new DedupeTable()
    const size = 1000
    const of = (batch: number) => fingerprintsOf(Array.from({ length: size }, (_, i) => `event-${batch * size + i}`))
    const counts = (place: number) => place % 10 !== 0
    const found = (batch: number) => {
      const fingerprints = of(batch)
      return Array.from({ length: size }, (_, i) =>
        table.find(fingerprints[2 * i]!, fingerprints[2 * i + 1]!, batch),
      ).flat()
    }
    for (let sequence = 0; sequence < 100; sequence++) {
      const fingerprints = of(sequence)
      table.append(sequence, sequence, fingerprints)
      for (let i = 0; i < size; i++) if (counts(i)) table.count(i, fingerprints[2 * i]!, fingerprints[2 * i + 1]!)
    }
    const places = Array.from({ length: size }, (_, place) => place).filter(counts)
    for (let sequence = 0; sequence < 100; sequence++) {
      expect(found(sequence)).toEqual(places.map((place) => ({ sequence, place })))
    }
    for (let batch = 100; batch < 200; batch++) expect(found(batch)).toEqual([])
  })

  test("has room for as many events as it can tell apart", () => {
    const table = new DedupeTable()
    table.append(1, 0, fingerprintsOf(["a", "b"]))
    expect(table.hasRoomFor(TABLE_EVENTS_MAX - 2)).toBe(true)
    expect(table.hasRoomFor(TABLE_EVENTS_MAX - 1)).toBe(false)
  })
})
