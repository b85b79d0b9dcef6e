import { Effect, Stream } from "effect"
import type { Event } from "../../domain/event/Event.ts"
import type { Batch } from "../../domain/log/batch.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { addDecimals, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import { oracle } from "../../domain/oracle/oracle.ts"
import { DedupeIndex } from "../../domain/projection/DedupeIndex.ts"
import { Fold, type FoldFailure } from "../../domain/projection/Fold.ts"
import { settleAlone } from "../../domain/projection/settleAlone.ts"
import type { Settings } from "../../domain/settings.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { dedupeBatch, makeBatchReader } from "../dedupeBatch.ts"
import { readBatches } from "../readBatches.ts"
import { asStored } from "./oracleKey.ts"

/** A cell of one measure, as the read model calls it. */
export interface CellName {
  readonly date: string
  readonly item: string
  readonly stat: string
}

/** A record of the log as it is folded. */
interface LoggedBatch {
  readonly partition: number
  readonly sequence: number
  readonly batch: Batch
  readonly logTime: number
  /** As the engine finds them. */
  readonly duplicates: ReadonlySet<number>
  /** Neither way looks at them. */
  readonly isolated: ReadonlySet<number>
}

/** An event and where it stands. */
export interface LoggedEvent {
  readonly partition: number
  readonly sequence: number
  /** In its batch, from 0. */
  readonly place: number
  readonly logTime: number
  readonly event: Event
}

/** What a cell is by two ways of counting; `null` = there is no such cell. */
export interface TwoValues {
  readonly engine: string | null
  readonly oracle: string | null
}

/** All events up to a cut in one order, that of their log time, to count any number of the first of them in both ways. */
export interface CountedBothWays {
  readonly batches: number
  readonly eventsOf: (batch: number) => number
  readonly at: (batch: number, place: number) => LoggedEvent
  /** A cell by the events of the first batches, and some of the batch after them. */
  readonly valuesAfter: (batches: number, places: number) => Effect.Effect<TwoValues>
}

/**
 * Reads the log to its end, to compare one cell of one measure by all of it but what is isolated. Holds its batches in
 * memory.
 */
export const readBothWays = Effect.fnUntraced(function* (
  measure: Measure,
  cell: CellName,
  settings: Settings,
  isolated: ReadonlyArray<Pick<FoldFailure, "partition" | "sequence" | "place">>,
) {
  const log = yield* EventLog
  const zone = TimeZone.of(settings.timeZone)!
  const logged: Array<LoggedBatch> = []
  for (let partition = 0; partition < log.partitions; partition++) {
    const dedupe = new DedupeIndex(settings.dedupeHorizonMillis)
    const readBatch = makeBatchReader(log, partition)
    let logTime = 0
    yield* readBatches(partition).pipe(
      Stream.runForEach(({ position: { sequence }, batch }) =>
        Effect.gen(function* () {
          logTime = Math.max(logTime, batch.origin.loggedAt)
          const { places } = yield* dedupeBatch(dedupe, readBatch, sequence, batch, logTime)
          const out = isolated.filter((it) => it.partition === partition && it.sequence === sequence)
          logged.push({
            partition,
            sequence,
            batch,
            logTime,
            duplicates: places,
            isolated: new Set(out.map(({ place }) => place)),
          })
        }),
      ),
    )
  }
  logged.sort((a, b) => a.logTime - b.logTime || a.partition - b.partition || a.sequence - b.sequence)

  /** The batches that count, each with how many of its events do. */
  const first = function* (batches: number, places: number) {
    for (let n = 0; n < batches; n++) yield { ...logged[n]!, count: logged[n]!.batch.count }
    if (places > 0) yield { ...logged[batches]!, count: places }
  }

  const byEngine = Effect.fnUntraced(function* (batches: number, places: number) {
    const fold = new Fold([measure], zone)
    for (const { partition, sequence, batch, duplicates, isolated, count } of first(batches, places)) {
      const rest = Array.from({ length: batch.count - count }, (_, n) => count + n)
      fold.add(partition, sequence, batch, duplicates, new Set([...isolated, ...rest]))
    }
    const rules = { mergeWindowMillis: settings.mergeWindowMillis, zone }
    const { measures } = yield* settleAlone(fold, [{ id: 0, follows: false }], rules)
    const mine = measures[0]!.cells.filter(
      ({ day, item, stat }) => formatDay(day) === cell.date && item === cell.item && stat === cell.stat,
    )
    const sum = mine.reduce((sum, { amount }) => addDecimals(sum, parseDecimal(amount)), DECIMAL_ZERO)
    return sum.digits === 0n ? null : formatDecimal(sum)
  })

  const byOracle = (batches: number, places: number): string | null => {
    const input = Array.from(first(batches, places)).flatMap(({ partition, logTime, batch, isolated, count }) =>
      Array.from({ length: count }, (_, place) => place)
        .filter((place) => !isolated.has(place))
        .map((place) => ({ event: batch.event(place), partition, loggedAt: logTime })),
    )
    const { definition } = measure
    const { cells } = oracle(input, settings, [definition], (day) => day === cell.date)
    const name = `${cell.date}|${cell.item}|${cell.stat}`
    const found = Array.from(cells.get(definition.name)!).find(([key]) => asStored(key) === name)
    return found === undefined ? null : String(found[1])
  }

  return {
    batches: logged.length,
    eventsOf: (batch) => logged[batch]!.batch.count,
    at: (n, place) => {
      const { partition, sequence, logTime, batch } = logged[n]!
      return { partition, sequence, place, logTime, event: batch.event(place) }
    },
    valuesAfter: (batches, places) =>
      Effect.map(Effect.orDie(byEngine(batches, places)), (engine) => ({ engine, oracle: byOracle(batches, places) })),
  } satisfies CountedBothWays
})
