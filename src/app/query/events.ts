import { Effect } from "effect"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import { boundedItem } from "../../domain/metric/boundedItem.ts"
import { INTAKE, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { ask, AT_ONCE, qualityOf, type Frame, frame, askedBuild } from "./frame.ts"
import type { RangeInput } from "./range.ts"

export interface EventsInput extends RangeInput {
  /** Only events of this name. */
  readonly event?: string | undefined
}

export interface EventsAnswer extends Frame {
  /** Days and event names with at least one event, by day. */
  readonly rows: ReadonlyArray<{
    readonly date: string
    readonly event: string
    readonly events: number
    readonly users: number
  }>
  /** Per event name over the whole range, most events first; `users` are distinct persons. */
  readonly totals: ReadonlyArray<{ readonly event: string; readonly events: number; readonly users: number }>
  /** Events of the range that a newer Tidemark logged, of kinds such as `unknown(7)` that this one does not know. */
  readonly unknownKinds: ReadonlyArray<{ readonly kind: string; readonly events: number }>
}

/** How often each event happened, and to how many persons. */
export const events = Effect.fnUntraced(function* (input: EventsInput = {}) {
  const question = yield* ask(input)
  const measure = yield* askedBuild(question, BUILTIN_METRICS.activeUsersByEvent.name)
  const queries = yield* ReadModelQueries
  const event = input.event === undefined ? undefined : boundedItem(input.event)
  const [cells, uniques, ofUnknownKinds, quality] = yield* Effect.all(
    [
      queries.cells(measure.id, question.range, {
        stats: ["users", "events"],
        ...(event === undefined ? {} : { item: event }),
      }),
      queries.uniquesByValue(measure.id, question.range, event),
      queries.cells(INTAKE, question.range, { stats: ["unknown-kind"] }),
      qualityOf(question.range),
    ],
    AT_ONCE,
  )
  const unknownKinds = new Map<string, number>()
  for (const { item, amount } of ofUnknownKinds) {
    unknownKinds.set(item, (unknownKinds.get(item) ?? 0) + Number(amount))
  }
  const rows = new Map<string, { date: string; event: string; events: number; users: number }>()
  const totals = new Map<string, number>()
  for (const { day, item, stat, amount } of cells) {
    const key = `${day}|${item}`
    const row = rows.get(key) ?? { date: formatDay(day), event: item, events: 0, users: 0 }
    if (stat === "events") {
      row.events = Number(amount)
      totals.set(item, (totals.get(item) ?? 0) + Number(amount))
    }
    if (stat === "users") row.users = Number(amount)
    rows.set(key, row)
  }
  return {
    ...frame(measure.definition, question, cells, quality),
    rows: [...rows.values()],
    totals: [...totals]
      .map(([event, count]) => ({ event, events: count, users: uniques.get(event) ?? 0 }))
      .sort((a, b) => b.events - a.events || (a.event < b.event ? -1 : 1)),
    unknownKinds: Array.from(unknownKinds, ([kind, events]) => ({ kind, events })),
  } satisfies EventsAnswer
})
