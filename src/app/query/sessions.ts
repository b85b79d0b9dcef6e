import { Effect } from "effect"
import { contributeSessions, DEFAULT_GAP_MILLIS, sessionRules } from "../../domain/measure/sessions.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { CellSums } from "../../domain/projection/CellSums.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { formatDuration, parseDuration } from "../../domain/time/duration.ts"
import { inTwoPhases } from "./inTwoPhases.ts"
import { BadQuery } from "./errors.ts"
import { ask, AT_ONCE, qualityOf, type Frame, frame, askedBuild } from "./frame.ts"
import type { RangeInput } from "./range.ts"

export interface SessionsInput extends RangeInput {
  /** Longest pause within a session, such as `30m` (default). */
  readonly gap?: string | undefined
}

export interface SessionFigures {
  readonly sessions: number
  readonly events: number
  readonly averageSeconds: number | null
  readonly medianSeconds: number | null
  /** Share of sessions with a single event. */
  readonly bounceRate: number | null
  readonly eventsPerSession: number | null
}

export interface SessionsAnswer extends Frame {
  readonly gap: string
  /** One row a day on which sessions began, also where none did. `users`: persons who began one. */
  readonly rows: ReadonlyArray<SessionFigures & { readonly date: string; readonly users: number }>
  readonly total: SessionFigures
  /** Pages that sessions began and ended with, most sessions first. */
  readonly entryPages: ReadonlyArray<{ readonly page: string; readonly sessions: number }>
  readonly exitPages: ReadonlyArray<{ readonly page: string; readonly sessions: number }>
}

const askSessions = Effect.fnUntraced(function* (input: SessionsInput = {}) {
  const question = yield* ask(input)
  const measure = yield* askedBuild(question, BUILTIN_METRICS.sessions.name)
  const queries = yield* ReadModelQueries
  const declared = BUILTIN_METRICS.sessions.formula
  const gap = input.gap === undefined ? DEFAULT_GAP_MILLIS : parseDuration(input.gap)
  if (gap === undefined) {
    return yield* new BadQuery({
      problem: `"${input.gap}" is not a duration.`,
      remedy: "Give --gap as a number and a unit, such as 30m or 1h.",
    })
  }
  const [stored, quality] = yield* Effect.all(
    [queries.cells(measure.id, question.range), qualityOf(question.range)],
    AT_ONCE,
  )
  const about = frame(measure.definition, question, stored, quality)
  // All points are kept, so any other pause can be tried on them.
  const persons = gap === DEFAULT_GAP_MILLIS ? null : yield* queries.personPoints(measure.id)
  const count = Effect.sync((): SessionsAnswer => {
    let cells: ReadonlyArray<CountedCell> = stored.map((cell) => ({ ...cell, amount: Number(cell.amount) }))
    if (persons !== null) {
      const rules = { ...sessionRules(declared), gapMillis: gap }
      const sums = new CellSums()
      persons((points) => contributeSessions(points, rules, question.zone, sums.add))
      cells = sums
        .deltas()
        .filter(({ day }) => day >= question.range.from && day <= question.range.to)
        .map((cell) => ({ ...cell, amount: Number(cell.amount) }))
    }
    const byDay = new Map<number, Array<CountedCell>>()
    for (const cell of cells) {
      const ofDay = byDay.get(cell.day)
      if (ofDay === undefined) byDay.set(cell.day, [cell])
      else ofDay.push(cell)
    }
    const days = Array.from({ length: question.range.to - question.range.from + 1 }, (_, n) => question.range.from + n)
    return {
      ...about,
      gap: formatDuration(gap),
      rows: days.map((day) => {
        const ofDay = byDay.get(day) ?? []
        return { date: formatDay(day), users: sumOf(ofDay, "persons"), ...figures(ofDay) }
      }),
      total: figures(cells),
      entryPages: pages(cells, "entries"),
      exitPages: pages(cells, "exits"),
    }
  })
  return { count }
})

/** Sessions by the local day on which they began. */
export const sessions = inTwoPhases(askSessions)

interface CountedCell {
  readonly day: number
  readonly item: string
  readonly stat: string
  readonly amount: number
}

const sumOf = (cells: ReadonlyArray<CountedCell>, stat: string): number =>
  cells.reduce((sum, cell) => (cell.stat === stat ? sum + cell.amount : sum), 0)

const figures = (cells: ReadonlyArray<CountedCell>): SessionFigures => {
  const count = sumOf(cells, "sessions")
  const events = sumOf(cells, "events")
  const perSession = (sum: number) => (count === 0 ? null : sum / count)
  return {
    sessions: count,
    events,
    averageSeconds: perSession(sumOf(cells, "duration_ms") / 1000),
    medianSeconds: medianSeconds(cells.filter(({ stat }) => stat === "duration")),
    bounceRate: perSession(sumOf(cells, "bounces")),
    eventsPerSession: perSession(events),
  }
}

/** The median of durations given as how many sessions lasted how long. */
const medianSeconds = (durations: ReadonlyArray<CountedCell>): number | null => {
  const sorted = durations.map(({ item, amount }) => [Number(item), amount] as const).sort(([a], [b]) => a - b)
  const count = sorted.reduce((sum, [, amount]) => sum + amount, 0)
  if (count === 0) return null
  const at = (rank: number): number => {
    let seen = 0
    for (const [millis, amount] of sorted) {
      seen += amount
      if (seen > rank) return millis
    }
    return 0
  }
  return (at(Math.floor((count - 1) / 2)) + at(Math.floor(count / 2))) / 2000
}

const pages = (cells: ReadonlyArray<CountedCell>, stat: string) => {
  const counts = new Map<string, number>()
  for (const cell of cells) {
    if (cell.stat === stat) counts.set(cell.item, (counts.get(cell.item) ?? 0) + cell.amount)
  }
  return [...counts]
    .map(([page, count]) => ({ page, sessions: count }))
    .sort((a, b) => b.sessions - a.sessions || (a.page < b.page ? -1 : 1))
}
