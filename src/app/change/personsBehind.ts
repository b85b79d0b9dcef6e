import { Effect } from "effect"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { daysOfMask, EMPTY_FACT, type Fact } from "../../domain/measure/Fact.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
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
  /** Days, or instants where moments are kept; the first few, those of the cell's own day before others. */
  readonly observedOnlyBefore: ReadonlyArray<string>
  readonly observedOnlyAfter: ReadonlyArray<string>
}

/** For each difference, some of the persons who make it, the biggest share first. Reads the facts of everybody. */
export const personsBehind = Effect.fnUntraced(function* (
  live: Build,
  build: Build,
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
  return chosen.map((persons, n) =>
    persons.map(({ person, ...amounts }): PersonBehind => {
      const earlier = observedBy(before.get(person) ?? EMPTY_FACT, zone)
      const later = observedBy(after.get(person) ?? EMPTY_FACT, zone)
      return {
        distinctIds: (idsOf.get(person) ?? []).map(({ distinctId }) => distinctId),
        ...amounts,
        observedOnlyBefore: firstOnlyIn(earlier, later, differences[n]!.day),
        observedOnlyAfter: firstOnlyIn(later, earlier, differences[n]!.day),
      }
    }),
  )
})

const cellKey = (day: Day, item: string, stat: string): string => JSON.stringify([day, item, stat])

/** What a fact remembers, as text, with its local day: moments where it has any, else days, with the value of the breakdown. */
const observedBy = (fact: Fact, zone: TimeZone): ReadonlyMap<string, Day> => {
  const rows = Array.from(fact.values())
  const moments = rows.flatMap(({ points }) =>
    points.times.map((time) => [formatInstant(time), zone.dayOf(time)] as const),
  )
  if (moments.length > 0) return new Map(moments)
  return new Map(
    rows.flatMap(({ month, mask, value }) =>
      daysOfMask(month, mask).map(
        (day) => [value === "" ? formatDay(day) : `${formatDay(day)} ${value}`, day] as const,
      ),
    ),
  )
}

/** The first few that only one remembers, those of a day before others. */
const firstOnlyIn = (
  one: ReadonlyMap<string, Day>,
  other: ReadonlyMap<string, Day>,
  first: Day,
): ReadonlyArray<string> => {
  const only = Array.from(one)
    .filter(([text]) => !other.has(text))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  const [ofDay, others] = [only.filter(([, day]) => day === first), only.filter(([, day]) => day !== first)]
  return [...ofDay, ...others].slice(0, MOMENTS).map(([text]) => text)
}
