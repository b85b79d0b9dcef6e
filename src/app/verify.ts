import { Effect, Stream } from "effect"
import { EventLog } from "../domain/log/EventLog.ts"
import { formatDecimal, parseDecimal } from "../domain/measure/decimal.ts"
import { boundedItem, ITEM_LENGTH_MAX } from "../domain/metric/boundedItem.ts"
import { oracle, type OracleInput } from "../domain/oracle/oracle.ts"
import { EVERY_MEASURE } from "../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../domain/projection/ReadModel.ts"
import { type Cell, ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../domain/settings.ts"
import { formatDay, parseDay } from "../domain/time/calendar.ts"
import { provePositions } from "./provePosition.ts"
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
      const settings = (yield* readModel.settings) ?? DEFAULT_SETTINGS
      const measures = (yield* readModel.measures).filter(({ state }) => state === "live")
      // Events that ended the process are in no measure.
      const isolated = new Set(
        (yield* queries.failures).filter(({ metric }) => metric === EVERY_MEASURE).map((it) => placeOf(it)),
      )
      const ends: Array<number> = []
      for (let partition = 0; partition < log.partitions; partition++) {
        ends.push((yield* readModel.checkpoint(LIVE_GROUP, partition))?.position.sequence ?? 0)
      }
      const cells = new Map<number, ReadonlyArray<Cell>>()
      for (const { id } of measures) cells.set(id, yield* queries.cells(id, EVERY_DAY))
      return { settings, measures, isolated, ends, cells }
    }),
  )
  const input: Array<OracleInput> = []
  for (const [partition, end] of ends.entries()) {
    let logTime = 0
    yield* readBatches(partition, { upTo: end }).pipe(
      Stream.runForEach(({ position, batch }) =>
        Effect.sync(() => {
          logTime = Math.max(logTime, batch.origin.loggedAt)
          const { sequence } = position
          for (const [place, event] of batch.events().entries()) {
            if (isolated.has(placeOf({ partition, sequence, place }))) continue
            input.push({ event, partition, loggedAt: logTime })
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
  const differences: Array<Difference> = []
  let compared = 0
  for (const { id, definition } of measures) {
    const { name: metric, version } = definition
    const rest = new Map(Array.from(expected.cells.get(metric) ?? [], ([key, right]) => [asStored(key), right]))
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
