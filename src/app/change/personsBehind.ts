import { Effect } from "effect"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { daysOfMask, EMPTY_FACT, type Fact, pointsOf } from "../../domain/measure/Fact.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import type { MeasureVersion } from "../../domain/projection/ReadModel.ts"
import { type CellDifference, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import type { Settings } from "../../domain/settings.ts"
import { type Day, formatDay } from "../../domain/time/calendar.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"

/** Persons that are named per difference, and moments per person. */
const PERSONS = 3
const MOMENTS = 3

/** A person who contributes otherwise to a cell, and why: what one build observed of them and the other did not. */
export interface PersonBehind {
  /** Distinct ids, as they are stored: `u:` and a user id, `a:` and an anonymous one. */
  readonly distinctIds: ReadonlyArray<string>
  readonly before: number
  readonly after: number
  /** Days, or instants where moments are kept; the first few. */
  readonly observedOnlyBefore: ReadonlyArray<string>
  readonly observedOnlyAfter: ReadonlyArray<string>
}

/** For each difference, some of the persons who make it, the biggest share first. Reads the facts of everybody. */
export const personsBehind = Effect.fnUntraced(function* (
  live: MeasureVersion,
  build: MeasureVersion,
  differences: ReadonlyArray<CellDifference>,
  settings: Settings,
) {
  const queries = yield* ReadModelQueries
  const zone = TimeZone.of(settings.timeZone)!
  const before = yield* queries.personFacts(live.id)
  const after = yield* queries.personFacts(build.id)
  const cells = new Map(differences.map(({ day, item, stat }, n) => [cellKey(day, item, stat), n]))
  const contributions = (measure: Measure, fact: Fact): ReadonlyMap<number, number> => {
    const amounts = new Map<number, number>()
    measure.contribute(fact, (day, item, stat, amount) => {
      const n = cells.get(cellKey(day, item, stat))
      if (n !== undefined) amounts.set(n, (amounts.get(n) ?? 0) + amount)
    })
    return amounts
  }
  const [was, is] = [live, build].map(({ definition }) => compileMeasure(definition, zone)) as [Measure, Measure]
  const found = differences.map((): Array<{ person: number; before: number; after: number }> => [])
  for (const person of new Set([...before.keys(), ...after.keys()])) {
    const earlier = contributions(was, before.get(person) ?? EMPTY_FACT)
    const later = contributions(is, after.get(person) ?? EMPTY_FACT)
    for (const n of new Set([...earlier.keys(), ...later.keys()])) {
      const amounts = { before: earlier.get(n) ?? 0, after: later.get(n) ?? 0 }
      if (amounts.before !== amounts.after) found[n]!.push({ person, ...amounts })
    }
  }
  const chosen = found.map((persons) =>
    persons
      .toSorted((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || a.person - b.person)
      .slice(0, PERSONS),
  )
  const wanted = new Set(chosen.flatMap((persons) => persons.map(({ person }) => person)))
  const { rows } = yield* wanted.size === 0 ? Effect.succeed({ rows: [] }) : queries.identities("all")
  const idsOf = Map.groupBy(
    rows.filter((row) => wanted.has(row.person)),
    (row) => row.person,
  )
  return chosen.map((persons) =>
    persons.map(({ person, ...amounts }): PersonBehind => {
      const [one, other] = [before.get(person) ?? EMPTY_FACT, after.get(person) ?? EMPTY_FACT].map(observed)
      return {
        distinctIds: (idsOf.get(person) ?? []).map(({ distinctId }) => distinctId),
        ...amounts,
        observedOnlyBefore: Array.from(one!.difference(other!)).toSorted().slice(0, MOMENTS),
        observedOnlyAfter: Array.from(other!.difference(one!)).toSorted().slice(0, MOMENTS),
      }
    }),
  )
})

const cellKey = (day: Day, item: string, stat: string): string => JSON.stringify([day, item, stat])

/** What a fact remembers: moments where it has any, else days, with the value of the breakdown. */
const observed = (fact: Fact): ReadonlySet<string> => {
  const { times } = pointsOf(fact)
  if (times.length > 0) return new Set(Array.from(times, (time) => formatInstant(time)))
  return new Set(
    Array.from(fact.values()).flatMap(({ month, mask, value }) =>
      daysOfMask(month, mask).map((day) => (value === "" ? formatDay(day) : `${formatDay(day)} ${value}`)),
    ),
  )
}
