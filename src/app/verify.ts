import { Effect, Stream } from "effect"
import type { Event } from "../domain/event/Event.ts"
import { EventLog } from "../domain/log/EventLog.ts"
import { formatDecimal, parseDecimal } from "../domain/measure/decimal.ts"
import { boundedItem, ITEM_LENGTH_MAX } from "../domain/metric/boundedItem.ts"
import type { MetricDefinition } from "../domain/metric/definition.ts"
import { oracle, type OracleInput } from "../domain/oracle/oracle.ts"
import { EVERY_MEASURE, ISOLATED } from "../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../domain/projection/ReadModel.ts"
import { type Cell, ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../domain/settings.ts"
import { formatDay, parseDay } from "../domain/time/calendar.ts"
import { provePositions } from "./provePosition.ts"
import { wholeStanding } from "./query/whole.ts"
import { readBatches } from "./readBatches.ts"

/** A cell for which the read model and the oracle disagree; `null` = no such cell. */
export interface Difference {
  readonly metric: string
  readonly version: number
  readonly date: string
  readonly item: string
  readonly stat: string
  readonly readModel: string | null
  readonly oracle: string | null
}

export interface Verified {
  readonly events: number
  readonly cells: number
  readonly differences: ReadonlyArray<Difference>
}

const EVERY_DAY = { from: parseDay("0000-01-01")!, to: parseDay("9999-12-31")! }

/**
 * Recomputes every cell from the log with the naive oracle and compares it with the read model, at the place in the log
 * where the read model stood at one moment. Holds all events and cells in memory.
 */
export const verify = Effect.fn("verify")(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const queries = yield* ReadModelQueries
  yield* provePositions
  const { settings, measures, isolated, ends, cells } = yield* queries.snapshot(
    Effect.gen(function* () {
      const { settings, measures: all } = yield* wholeStanding
      const measures = all.filter(({ state }) => state === "live")
      // Events that ended the process are in no measure, or not in those that were being built just then.
      const isolated = Map.groupBy(
        (yield* queries.failures).filter(({ metric, cause }) => metric === EVERY_MEASURE || cause === ISOLATED),
        (it) => placeOf(it),
      )
      const ends: Array<number> = []
      for (let partition = 0; partition < log.partitions; partition++) {
        ends.push((yield* readModel.checkpoint(LIVE_GROUP, partition))?.position.sequence ?? 0)
      }
      const cells = new Map<number, ReadonlyArray<Cell>>()
      for (const { id } of measures) cells.set(id, yield* queries.cells(id, EVERY_DAY))
      return { settings: settings ?? DEFAULT_SETTINGS, measures, isolated, ends, cells }
    }),
  )
  const leavesOut = (metric: string, place: string) => isolated.get(place)?.some((it) => it.metric === metric) === true
  const input: Array<OracleInput> = []
  const partly = new Map<OracleInput, string>()
  for (const [partition, end] of ends.entries()) {
    let logTime = 0
    yield* readBatches(partition, { upTo: end }).pipe(
      Stream.runForEach(({ position, batch }) =>
        Effect.sync(() => {
          logTime = Math.max(logTime, batch.origin.loggedAt)
          const { sequence } = position
          for (const [place, event] of batch.events().entries()) {
            const at = placeOf({ partition, sequence, place })
            if (leavesOut(EVERY_MEASURE, at)) continue
            const entry = { event, partition, loggedAt: logTime }
            input.push(entry)
            if (isolated.has(at)) partly.set(entry, at)
          }
        }),
      ),
    )
  }
  const expected = oracle(
    input,
    settings,
    measures.map(({ definition }) => definition),
  )
  const expectedOf = (definition: MetricDefinition) => {
    const out = new Set(Array.from(partly).flatMap(([entry, at]) => (leavesOut(definition.name, at) ? [entry] : [])))
    if (out.size === 0) return expected.cells.get(definition.name)
    const seen = input.map((entry) => (out.has(entry) ? { ...entry, event: countingNowhere(entry.event) } : entry))
    return oracle(seen, settings, [definition]).cells.get(definition.name)
  }
  const differences: Array<Difference> = []
  let compared = 0
  for (const { id, definition } of measures) {
    const { name: metric, version } = definition
    const rest = new Map(Array.from(expectedOf(definition) ?? [], ([key, right]) => [asStored(key), right]))
    for (const { day, item, stat, amount } of cells.get(id)!) {
      compared++
      const key = `${formatDay(day)}|${item}|${stat}`
      const right = rest.get(key)
      rest.delete(key)
      const found = formatDecimal(parseDecimal(amount))
      if (right === undefined || String(right) !== found) {
        const date = formatDay(day)
        differences.push({
          metric,
          version,
          date,
          item,
          stat,
          readModel: found,
          oracle: right === undefined ? null : String(right),
        })
      }
    }
    for (const [key, right] of rest) {
      compared++
      differences.push({
        metric,
        version,
        ...partsOf(key),
        readModel: null,
        oracle: String(right),
      })
    }
  }
  return { events: input.length, cells: compared, differences } satisfies Verified
})

/** An event that says who is who, as it did, and nothing else. */
const countingNowhere = (event: Event): Event => ({
  ...event,
  kind: event.kind === "alias" || event.kind === "unalias" ? event.kind : "identify",
  name: "",
})

const placeOf = (it: { readonly partition: number; readonly sequence: number; readonly place: number }): string =>
  `${it.partition}/${it.sequence}/${it.place}`

/** The oracle's name of a cell, `date|item|stat`, in its parts. */
const partsOf = (key: string) => {
  const first = key.indexOf("|")
  const last = key.lastIndexOf("|")
  return { date: key.slice(0, first), item: key.slice(first + 1, last), stat: key.slice(last + 1) }
}

/** The oracle calls a cell by the whole of its item and currency; the read model shortens those that are very long. */
const asStored = (key: string): string => {
  if (key.length <= ITEM_LENGTH_MAX) return key
  const { date, item, stat } = partsOf(key)
  const [name, ...currency] = stat.split(":")
  const bounded = currency.length === 0 ? stat : `${name}:${boundedItem(currency.join(":"))}`
  return `${date}|${boundedItem(item)}|${bounded}`
}
