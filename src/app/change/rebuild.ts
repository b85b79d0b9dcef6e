import { Clock, Effect } from "effect"
import { countsDayByDay } from "../../domain/metric/definition.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { LIVE_GROUP, type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../domain/settings.ts"
import type { DayRange } from "../../domain/time/calendar.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { decision, record } from "../control.ts"
import { Projector, type ProjectOptions } from "../projection/Projector.ts"
import { WorkersStandStill } from "../projection/WorkersStandStill.ts"
import { type RangeInput, resolveRange } from "../query/range.ts"
import { wholeStanding } from "../query/whole.ts"
import { liveOf } from "./builds.ts"
import { compare, type Comparison } from "./compare.ts"
import { BuiltForOtherDays, NotDayByDay, TooManyBuilds } from "./errors.ts"
import { checkExpectation } from "./promote.ts"
import { switchOf, switchTo } from "./switchTo.ts"

/** Groups that build at once, each of which reads the log by itself. */
export const BUILDS_MAX = 4

export interface RebuildOptions extends ProjectOptions {
  /** Names of metrics; all that are live by default. */
  readonly metrics?: ReadonlyArray<string>
  /** The only local days that are built anew, both included; the others are taken over as they are. */
  readonly days?: RangeInput
  /** Promotes what differs although it was expected to be the same. */
  readonly accept?: boolean
  /** Leaves what was built beside what is live. */
  readonly promote?: boolean
  readonly why?: string | undefined
}

/** What a rebuild came to. */
export interface Rebuilt {
  readonly comparisons: ReadonlyArray<Comparison>
  /** Whether what was built answers now. */
  readonly promoted: boolean
}

/**
 * Builds metrics that are live once more from the log, beside what answers queries; compares every cell of both at one place
 * in the log; and lets the new builds take over, all in one moment. What they replace is dropped where it is the same. One that
 * was cut off goes on where it was.
 */
export const rebuild = Effect.fn("rebuild")(function* ({
  metrics,
  days,
  accept = false,
  promote = true,
  why,
  ...projecting
}: RebuildOptions = {}) {
  const readModel = yield* ReadModel
  const { stored, settings } = yield* wholeStanding
  const live = yield* liveOf(metrics)
  const range = days === undefined ? null : yield* rangeOf(days, live, stored, settings ?? DEFAULT_SETTINGS)
  if (live.length === 0) {
    // Nothing was projected yet, so there is nothing to build beside.
    yield* Projector.use((projector) => projector.project(projecting))
    return { comparisons: [], promoted: true } satisfies Rebuilt
  }
  const made = yield* readModel.made
  const groups = new Set((yield* readModel.measures).map(({ group }) => group).filter((group) => group !== LIVE_GROUP))
  const under = yield* nextBuilds(live)
  const other = under.find(({ days }) => days?.from !== range?.from || days?.to !== range?.to)
  if (other !== undefined) return yield* new BuiltForOtherDays({ build: buildName(other), days: other.days })
  if (under.length < live.length && groups.size >= BUILDS_MAX) return yield* new TooManyBuilds({ most: BUILDS_MAX })
  if (under.length < live.length && made !== null) {
    const names = live.map(({ definition }) => definition.name)
    yield* record([{ name: "rebuild_requested", body: { metrics: names, ...decision(why ?? null) } }])
    yield* readModel.rebuild(
      live.map(({ id }) => id),
      made,
      range,
    )
  }
  const builds = yield* nextBuilds(live)
  yield* Projector.use((projector) => projector.project(projecting)).pipe(
    Effect.catchTag("WorkersStandStill", ({ why }) =>
      Effect.fail(
        new WorkersStandStill({
          why: `${why} The rebuild is recorded, and is made when they do; run the command again then, which compares what was built and lets it answer.`,
        }),
      ),
    ),
  )
  const comparisons = yield* Effect.forEach(builds, (build) => compare(buildName(build)))
  if (!promote) return { comparisons, promoted: false } satisfies Rebuilt
  for (const comparison of comparisons) yield* checkExpectation(comparison, accept)
  const all = yield* readModel.measures
  const switches = builds.map((build) =>
    switchOf(
      build,
      all.filter(({ definition }) => definition.name === build.definition.name),
    ),
  )
  yield* switchTo("metric_promoted", switches, why)
  const same = new Set(comparisons.filter(({ differing }) => differing === 0).map(({ live }) => live))
  const replaced = live.flatMap(({ id, ...it }) =>
    same.has(buildName(it)) ? [{ id, state: "detached" as const }] : [],
  )
  if (made !== null) yield* readModel.drop(replaced, made)
  return { comparisons, promoted: true } satisfies Rebuilt
})

/** The days asked for, which all of the metrics must count one by one. */
const rangeOf = Effect.fnUntraced(function* (
  days: RangeInput,
  live: ReadonlyArray<Build>,
  stored: DayRange | null,
  { timeZone }: Settings,
) {
  const other = live.find(({ definition }) => !countsDayByDay(definition))
  if (other !== undefined) {
    const { name, formula } = other.definition
    return yield* new NotDayByDay({ metric: name, kind: formula.kind })
  }
  return yield* resolveRange(days, stored, TimeZone.of(timeZone)!.dayOf(yield* Clock.currentTimeMillis))
})

/** Builds after the live ones that are under way or ready. */
const nextBuilds = Effect.fnUntraced(function* (live: ReadonlyArray<Build>) {
  const readModel = yield* ReadModel
  const all = yield* readModel.measures
  return live.flatMap((it) => {
    const next = all.findLast(
      ({ id, definition: { name, version }, state }) =>
        id > it.id &&
        name === it.definition.name &&
        version === it.definition.version &&
        (state === "building" || state === "ready"),
    )
    return next === undefined ? [] : [next]
  })
})
