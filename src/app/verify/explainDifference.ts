import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { compileMeasure } from "../../domain/measure/compile.ts"
import { formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import { isLeftOut } from "../../domain/projection/Operations.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { parseDay } from "../../domain/time/calendar.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { logUpTo } from "../asOf/logUpTo.ts"
import { Replays } from "../asOf/Replays.ts"
import { resolveAsOf } from "../asOf/resolveAsOf.ts"
import { BadQuery } from "../query/errors.ts"
import { ask, askedBuild } from "../query/frame.ts"
import { readBothWays } from "./bothWays.ts"
import type { Difference } from "./difference.ts"
import { firstParting } from "./firstParting.ts"

/** Where a difference comes from. */
export interface Origin {
  readonly difference: Difference
  /** What a replay of the log up to the same place makes of the cell. */
  readonly replay: string | null
  /**
   * The event before which the engine agrees with the oracle, and with which it no longer does; `null` where it agrees by
   * all events.
   */
  readonly event: {
    readonly partition: number
    readonly sequence: number
    /** In its batch, from 0. */
    readonly place: number
    readonly id: string
    readonly name: string
    readonly time: string
    /** Log time. */
    readonly loggedAt: string
    /** What the cell is with this event and all before it. */
    readonly engine: string | null
    readonly oracle: string | null
  } | null
}

/**
 * Looks for the origin of a difference: counts more and more of the log again, by the engine and by the oracle, to find
 * where they part; where they don't, asks a replay. Holds the log up to the cut in memory, and counts it some dozens of
 * times: for one cell, not for many.
 */
export const explainDifference = Effect.fn("explainDifference")(function* (
  difference: Difference,
  asOf: string | null,
) {
  if (asOf === null) {
    return yield* new BadQuery({
      problem: "The tables have numbers, and say of no batch that it is in them.",
      remedy: `"tidemark rebuild --wipe" makes them anew.`,
    })
  }
  const cut = yield* resolveAsOf(asOf)
  const log = logUpTo(yield* EventLog, cut)
  const question = yield* ask({})
  const { settings, zone } = question
  const { definition } = yield* askedBuild(question, difference.build)
  const measure = compileMeasure(definition, zone)
  const isolated = (yield* ReadModelQueries.use(({ failures }) => failures)).filter(isLeftOut(difference.metric))
  const counted = yield* Effect.provideService(readBothWays(measure, difference, settings, isolated), EventLog, log)
  const parting = yield* firstParting(counted)
  const replays = yield* Replays
  const replay =
    // What is isolated would end this process.
    parting === null && isolated.length === 0
      ? yield* replays.ask(cut, cellOf(difference))
      : (yield* counted.valuesAfter(counted.batches, 0)).engine
  if (parting === null) return { difference, replay, event: null } satisfies Origin
  const { at, values } = parting
  const { id, name, time } = at.event
  return {
    difference,
    replay,
    event: {
      partition: at.partition,
      sequence: at.sequence,
      place: at.place,
      id,
      name,
      time: formatInstant(time),
      loggedAt: formatInstant(at.logTime),
      ...values,
    },
  } satisfies Origin
})

/** The cell as a replay has it, which builds each version once; `null` also where it does not have the version. */
const cellOf = Effect.fnUntraced(function* ({ metric, version, date, item, stat }: Difference) {
  const queries = yield* ReadModelQueries
  const { measures } = yield* ask({})
  const measure = measures.find(({ definition }) => definition.name === metric && definition.version === version)
  if (measure === undefined) return null
  const day = parseDay(date)!
  const [cell] = yield* queries.cells(measure.id, { from: day, to: day }, { stats: [stat], item })
  return cell === undefined ? null : formatDecimal(parseDecimal(cell.amount))
})
