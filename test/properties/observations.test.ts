import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { EMPTY_FACT, type Fact, factOf, type FactRow, joinFacts } from "../../src/domain/measure/Fact.ts"
import { Observations } from "../../src/domain/measure/Observations.ts"
import { EMPTY_POINTS, eventKey, joinPoints, type Points } from "../../src/domain/measure/points.ts"
import { firstDayOfMonth, monthOfDay } from "../../src/domain/time/calendar.ts"
import { PersonPoints } from "../../src/infra/sql/PersonPoints.ts"
import { RUNS_KIND } from "../support/laws.ts"
import { everyPersons } from "../support/everyPersons.ts"

/** What is held in columns, for many at once, is what each would be by itself. */

const arbLabel = fc.constantFrom("", "0", "0,1;2", "__proto__", "\ud800")

interface Observed {
  readonly owner: number
  readonly value: string
  readonly day: number
  readonly sequence: number
  readonly label: string
  readonly keepsPoint: boolean
}

describe("observations of many distinct ids", () => {
  const arbObservation: fc.Arbitrary<Observed> = fc.record({
    owner: fc.integer({ min: 0, max: 20 }),
    value: fc.oneof(arbLabel, fc.integer({ min: 0, max: 40 }).map(String)),
    // Around the ends of months, also before 1970.
    day: fc.oneof(fc.integer({ min: -65, max: 65 }), fc.integer({ min: -100_000, max: 100_000 })),
    sequence: fc.integer({ min: 1, max: 30 }),
    label: arbLabel,
    keepsPoint: fc.boolean(),
  })

  /** The fact of one observation, made by hand. */
  const single = ({ value, day, sequence, label, keepsPoint }: Observed): Fact => {
    const month = monthOfDay(day)
    const points: Points = keepsPoint
      ? { times: [sequence * 10], keys: [eventKey(0, sequence, 0)], labels: [label] }
      : EMPTY_POINTS
    const row: FactRow = { value, month, mask: 1 << (day - firstDayOfMonth(month)), points }
    return factOf([row])
  }

  test("are for each the join of its own", () => {
    fc.assert(
      fc.property(fc.array(arbObservation, { maxLength: 300 }), (found) => {
        // One event has one label.
        const labels = new Map(found.map(({ sequence, label }) => [sequence, label]))
        const all = found.map((it) => ({ ...it, label: labels.get(it.sequence)! }))
        const observations = new Observations()
        const expected = new Map<number, Fact>()
        for (const it of all) {
          const { owner, value, day, sequence, label, keepsPoint } = it
          if (keepsPoint) observations.addPoint(owner, value, day, sequence * 10, eventKey(0, sequence, 0), label)
          else observations.addDay(owner, value, day)
          expected.set(owner, joinFacts(expected.get(owner) ?? EMPTY_FACT, single(it)))
        }
        for (let owner = 0; owner <= 25; owner++) {
          const fact = expected.get(owner) ?? EMPTY_FACT
          expect(observations.factOf(owner)).toEqual(fact)
          const rows = observations.rowsOf(owner)
          expect(rows === null ? EMPTY_FACT : factOf(rows)).toEqual(fact)
        }
      }),
      { numRuns: RUNS_KIND },
    )
  })
})

describe("points of many persons", () => {
  test("are for each the join of its own, in order, each once", () => {
    const arbPoint = fc.record({
      person: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -200, max: 200 })),
      time: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: 0, max: 8e15 })),
      sequence: fc.integer({ min: 1, max: 20 }),
    })
    fc.assert(
      fc.property(fc.array(arbPoint, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (found, times) => {
        const points = new PersonPoints(8)
        const expected = new Map<number, Points>()
        // More than there is room for at first; what comes again says nothing new.
        for (let n = 0; n < times; n++) {
          for (const { person, time, sequence } of found) {
            const key = eventKey(0, sequence, 0)
            const label = String(sequence)
            points.begin(person)
            points.add(time, key, points.numberOf(label))
            const one = { times: [time], keys: [key], labels: [label] }
            expected.set(person, joinPoints(expected.get(person) ?? EMPTY_POINTS, one))
          }
        }
        const persons = [...expected].sort(([a], [b]) => a - b)
        expect(everyPersons(points.of((person) => person))).toEqual(
          persons.map(([, { times, labels }]) => ({ times, labels })),
        )
      }),
      { numRuns: RUNS_KIND },
    )
  })
})
