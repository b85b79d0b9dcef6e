import { Effect } from "effect"
import { boundedItem } from "../../domain/metric/boundedItem.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { ask, AT_ONCE, type Frame, frame, askedBuild, qualityOf, type Question } from "./frame.ts"
import {
  usersPerPeriod,
  formatInterval,
  type Interval,
  observedRange,
  parseInterval,
  periodOf,
  periodsOf,
} from "./intervals.ts"
import type { RangeInput } from "./range.ts"

export interface ActiveUsersInput extends RangeInput {
  /** `day` (default), `week`, `month` or `rolling-N`. */
  readonly interval?: string | undefined
  /** Only events of this name. */
  readonly event?: string | undefined
}

export interface ActiveUsersAnswer extends Frame {
  readonly interval: string
  readonly event: string | null
  /** One row a period, also where nobody was active. Weeks and months are named after their first day. */
  readonly rows: ReadonlyArray<{ readonly date: string; readonly users: number; readonly events: number }>
  /** `users`: distinct persons of the whole range, never the sum of the rows. */
  readonly total: { readonly users: number; readonly events: number }
}

/** Distinct persons and events per period. */
export const activeUsers = Effect.fnUntraced(function* (input: ActiveUsersInput = {}) {
  const interval = yield* parseInterval(input.interval ?? "day")
  const question = yield* ask(input)
  const measure = yield* askedBuild(
    question,
    input.event === undefined ? BUILTIN_METRICS.activeUsers.name : BUILTIN_METRICS.activeUsersByEvent.name,
  )
  return {
    ...(yield* series(question, measure, boundedItem(input.event ?? ""), interval)),
    event: input.event ?? null,
  } satisfies ActiveUsersAnswer
})

/** The series of one value of an active-users measure. */
export const series = Effect.fnUntraced(function* (
  question: Question,
  measure: Build,
  value: string,
  interval: Interval,
) {
  const queries = yield* ReadModelQueries
  const { range, settings } = question
  const observed = observedRange(interval, range)
  const [cells, returned, uniques, quality] = yield* Effect.all(
    [
      queries.cells(measure.id, observed, { stats: ["users", "events"], item: value }),
      interval.unit === "day" ? Effect.succeed([]) : queries.returned(measure.id, value, observed),
      queries.uniquesByValue(measure.id, range, value),
      qualityOf(range),
    ],
    AT_ONCE,
  )
  const events = new Map<number, number>()
  const daily = new Map<number, number>()
  let total = 0
  for (const { day, stat, amount } of cells) {
    if (stat === "users") daily.set(day, Number(amount))
    if (stat !== "events") continue
    if (day >= range.from) total += Number(amount)
    if (interval.unit === "rolling") {
      for (let end = Math.max(day, range.from); end < day + interval.days && end <= range.to; end++) {
        events.set(end, (events.get(end) ?? 0) + Number(amount))
      }
    } else {
      const period = periodOf(interval, day, settings.weekStart)
      events.set(period, (events.get(period) ?? 0) + Number(amount))
    }
  }
  const users = interval.unit === "day" ? daily : usersPerPeriod(returned, interval, range, settings.weekStart)
  return {
    ...frame(measure.definition, question, cells, quality),
    interval: formatInterval(interval),
    rows: periodsOf(interval, range, settings.weekStart).map((period) => ({
      date: formatDay(period),
      users: users.get(period) ?? 0,
      events: events.get(period) ?? 0,
    })),
    total: { users: uniques.get(value) ?? 0, events: total },
  }
})
