import { Effect } from "effect"
import type { Position } from "../../domain/log/position.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
import { type CellComparison, ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../domain/settings.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { wholeStanding } from "../query/whole.ts"
import { findBuilds, liveAmong, pickBuild } from "./builds.ts"
import { NoSuchBuild } from "./errors.ts"
import { type PersonBehind, personsBehind } from "./personsBehind.ts"

/** Differences that are listed, unless more are asked for. */
const LISTED = 10

/** Two builds of a metric at one place in the log. */
export interface Comparison {
  readonly metric: string
  /** Names of the builds: what is live, and what is compared with it. */
  readonly live: string
  readonly build: string
  readonly expect: "same" | "different"
  /** The only days that the build was made for, both included, where the others were taken over; `null` for all. */
  readonly days: { readonly from: string; readonly to: string } | null
  readonly asOf: ReadonlyArray<Position>
  readonly cells: Pick<CellComparison, "equal" | "added" | "removed" | "changed" | "days">
  /** Cells that differ in any way. */
  readonly differing: number
  readonly sums: CellComparison["sums"]
  readonly biggest: ReadonlyArray<{
    readonly date: string
    readonly item: string
    readonly stat: string
    readonly before: string | null
    readonly after: string | null
    /** Some of the persons who make the difference; none where events are counted by themselves. */
    readonly persons: ReadonlyArray<PersonBehind>
  }>
}

/** Compares a build that is not live with the one that is, at one moment, and so at one place in the log. */
export const compare = Effect.fn("compare")(function* (asked: string, listed = LISTED) {
  const queries = yield* ReadModelQueries
  return yield* queries.snapshot(
    Effect.gen(function* () {
      const { settings, checkpoints } = yield* wholeStanding
      const builds = yield* findBuilds(asked)
      const build = yield* pickBuild(builds, ["ready", "detached"], "build beside the one that is live")
      const live = liveAmong(builds)
      if (live === undefined) return yield* new NoSuchBuild({ asked, wanted: "metric that is live", there: [] })
      const { biggest, sums, ...cells } = yield* queries.compareCells(live.id, build.id, listed)
      const persons =
        biggest.length === 0 ? [] : yield* personsBehind(live, build, biggest, settings ?? DEFAULT_SETTINGS)
      return {
        metric: build.definition.name,
        live: buildName(live),
        build: buildName(build),
        expect: expectation(live, build),
        days: build.days === null ? null : { from: formatDay(build.days.from), to: formatDay(build.days.to) },
        asOf: checkpoints.map(({ position }) => position),
        cells,
        differing: cells.added + cells.removed + cells.changed,
        sums,
        biggest: biggest.map(({ day, ...difference }, n) => ({
          date: formatDay(day),
          ...difference,
          persons: persons[n]!,
        })),
      } satisfies Comparison
    }),
  )
})

/** Another build of the same version must come to the same; another version, to what its author expects. */
const expectation = (live: Build, { definition }: Build): "same" | "different" =>
  definition.version === live.definition.version ? "same" : (definition.expect ?? "different")
