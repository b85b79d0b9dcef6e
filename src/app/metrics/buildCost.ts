import { Effect } from "effect"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { countLogged } from "../countLogged.ts"

/**
 * Events that one process folds and counts in a second: docs/explanation/limits.md, Measured. Not measured on the machine
 * at hand.
 */
const EVENTS_PER_SECOND = 40_000

/** What it takes to build versions of metrics together, which reads the log once. */
export interface BuildCost {
  readonly events: number
  readonly eventsPerSecond: number
  readonly minutes: number
  /** Rows of the versions that are replaced, which stay: about as many come. `null` for a metric that has none yet. */
  readonly rows: ReadonlyArray<{
    readonly metric: string
    readonly replaces: { readonly version: number; readonly facts: number; readonly cells: number } | null
  }>
}

export const priceBuilds = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const queries = yield* ReadModelQueries
  const measures = yield* ReadModel.use(({ measures }) => measures)
  const events = yield* eventsOfLog
  const rows = yield* Effect.forEach(names, (metric) =>
    Effect.gen(function* () {
      const before = measures.find(({ definition, state }) => definition.name === metric && state === "live")
      if (before === undefined) return { metric, replaces: null }
      return { metric, replaces: { version: before.definition.version, ...(yield* queries.sizesOf(before.id)) } }
    }),
  )
  return {
    events,
    eventsPerSecond: EVENTS_PER_SECOND,
    minutes: events / EVENTS_PER_SECOND / 60,
    rows,
  } satisfies BuildCost
})

/** Counted by the log where it can; else what was projected of it. */
const eventsOfLog = Effect.gen(function* () {
  const logged = yield* countLogged
  if (logged !== null) return logged
  const { checkpoints } = yield* ReadModelQueries.use((queries) => queries.standing)
  return checkpoints.reduce((sum, { counts }) => sum + counts.projected + counts.duplicates, 0)
})
