import type { Event } from "../event/Event.ts"
import type { EventFilter, FunnelFormula, MetricDefinition, Renames } from "../metric/definition.ts"
import type { Settings } from "../settings.ts"
import type { CellKey } from "./Cells.ts"
import { activeUserCells, eventCountCells, propertySumCells } from "./counting.ts"
import { dedupe, type OracleInput } from "./dedupe.ts"
import { passes } from "./filter.ts"
import { countingAttempts, funnelCells } from "./funnel.ts"
import { LocalCalendar } from "./LocalCalendar.ts"
import { people, type People } from "./people.ts"
import { seenBy } from "./renames.ts"
import { sessionCells } from "./sessions.ts"

/**
 * The naive oracle: recomputes every number from the whole set of events by the simplest possible code. It shares
 * nothing with the engine but types, so that `tidemark verify` and the property tests can judge the engine by it
 * (docs/explanation/the-algebra.md). Where it and the engine differ, docs/reference/semantics.md decides which is wrong.
 */

export type { CellKey } from "./Cells.ts"
export type { OracleInput } from "./dedupe.ts"

export type OracleSettings = Settings

export interface OracleResult {
  /** By metric name. Cells of 0 are absent; a string is an exact decimal. */
  readonly cells: ReadonlyMap<string, ReadonlyMap<CellKey, number | string>>
  /** Distinct id (`u:…`, `a:…`, `a:…#older`) → its person's canonical distinct id. */
  readonly personOf: ReadonlyMap<string, string>
  readonly duplicates: number
  readonly conflicts: number
}

/** Local days `YYYY-MM-DD`, both included. */
export interface OracleRange {
  readonly from: string
  readonly to: string
}

export interface OracleFunnelResult {
  /** Persons who reached step 1, 2, … */
  readonly users: ReadonlyArray<number>
  /** For step 2, 3, …: how long each of its persons took from the step before, ascending. */
  readonly fromPreviousMillis: ReadonlyArray<ReadonlyArray<number>>
}

/**
 * Every cell of every metric, and who is who; with `isAsked`, the cells of the days that it holds for. A person who did
 * nothing on a day adds nothing to it, so only those who did are looked at.
 */
export const oracle = (
  input: ReadonlyArray<OracleInput>,
  settings: OracleSettings,
  metrics: ReadonlyArray<MetricDefinition>,
  isAsked: ((day: string) => boolean) | null = null,
): OracleResult => {
  const deduped = dedupe(input, settings.dedupeHorizonMillis)
  const { duplicates, conflicts } = deduped
  const calendar = new LocalCalendar(settings.timeZone)
  const all = people(deduped.events, settings.mergeWindowMillis)
  const isOfAskedDay = (event: Event): boolean => isAsked === null || isAsked(calendar.dayOf(event.time))
  const everyone = { ...all, events: all.events.filter((events) => events.some(isOfAskedDay)) }
  const events = deduped.events.filter(isOfAskedDay)

  const cellsOf = (metric: MetricDefinition): ReadonlyMap<CellKey, number | string> => {
    const { formula } = metric
    const seen = seenBy(metric, events)
    const persons = everyone.events.map((theirs) => seenBy(metric, theirs))
    switch (formula.kind) {
      case "active-users":
        return activeUserCells(
          { ...everyone, events: persons, personless: seenBy(metric, everyone.personless) },
          metric,
          calendar,
        )
      case "event-count":
        return eventCountCells(seen, metric, calendar)
      case "property-sum":
        return propertySumCells(seen, metric, formula, calendar)
      case "funnel":
        return funnelCells(persons, formula, calendar)
      case "sessions":
        return sessionCells(persons, metric, formula, calendar)
      case "ratio":
      case "sum":
      case "per-user":
        throw new Error(`the metric ${metric.name} is a ${formula.kind} of other metrics and has no cells`)
    }
  }

  const askedCellsOf = (metric: MetricDefinition): ReadonlyMap<CellKey, number | string> =>
    isAsked === null
      ? cellsOf(metric)
      : new Map([...cellsOf(metric)].filter(([key]) => isAsked(key.slice(0, key.indexOf("|")))))

  const cells = new Map(metrics.map((metric) => [metric.name, askedCellsOf(metric)]))
  return { cells, personOf: everyone.personOf, duplicates, conflicts }
}

/**
 * A funnel over a range (docs/reference/semantics.md, Funnels: "`range` limits entries; later steps may lie after its end"; "a person
 * counts once in a range"). `null` is all time.
 */
export const oracleFunnel = (
  input: ReadonlyArray<OracleInput>,
  settings: OracleSettings,
  formula: FunnelFormula,
  range: OracleRange | null,
  renamed?: Renames,
): OracleFunnelResult => {
  const calendar = new LocalCalendar(settings.timeZone)
  const users = formula.steps.map(() => 0)
  const fromPreviousMillis = formula.steps.slice(1).map((): Array<number> => [])
  for (const events of peopleOf(input, settings).events) {
    const attempts = countingAttempts(seenBy({ renamed }, events), formula, (entry) =>
      isWithin(calendar, entry, range) ? "range" : null,
    )
    const reached = attempts.get("range") ?? []
    for (const [index, time] of reached.entries()) {
      users[index]!++
      if (index > 0) fromPreviousMillis[index - 1]!.push(time - reached[index - 1]!)
    }
  }
  for (const times of fromPreviousMillis) times.sort((left, right) => left - right)
  return { users, fromPreviousMillis }
}

/** Distinct persons with a qualifying event in a range; `null` is all time. */
export const oracleActiveUsers = (
  input: ReadonlyArray<OracleInput>,
  settings: OracleSettings,
  filter: EventFilter | undefined,
  range: OracleRange | null,
  renamed?: Renames,
): number => {
  const calendar = new LocalCalendar(settings.timeZone)
  return peopleOf(input, settings).events.filter((events) =>
    seenBy({ renamed }, events).some((event) => passes(event, filter) && isWithin(calendar, event.time, range)),
  ).length
}

const peopleOf = (input: ReadonlyArray<OracleInput>, settings: OracleSettings): People =>
  people(dedupe(input, settings.dedupeHorizonMillis).events, settings.mergeWindowMillis)

const isWithin = (calendar: LocalCalendar, instant: number, range: OracleRange | null): boolean =>
  range === null || (range.from <= calendar.dayOf(instant) && calendar.dayOf(instant) <= range.to)
