import { Effect } from "effect"
import { buildsMeasure, isFormulaMetric, type MetricDefinition } from "../../domain/metric/definition.ts"
import { countsTheSame } from "../../domain/metric/differences.ts"
import type { AppliedVersion } from "../../domain/metric/lifecycle.ts"
import { buildName, isNamed, versionName } from "../../domain/projection/buildName.ts"
import { readControl } from "../control.ts"
import { Projector } from "../projection/Projector.ts"
import { findBuilds, type FoundBuilds, liveAmong, pickBuild } from "./builds.ts"
import { compare, type Comparison } from "./compare.ts"
import { AlreadyLive, NoSuchBuild, NotReady, Unexplained } from "./errors.ts"
import { switchOf, switchTo } from "./switchTo.ts"

/** What a promotion, or the way back, came to: names of builds. */
export interface Promoted {
  readonly live: string
  /** What answered before; `null` where nothing did. */
  readonly replaced: string | null
}

export interface PromoteOptions {
  /** Promotes what differs although it was expected to be the same. */
  readonly accept?: boolean
  /** Why, for those who read the log later. */
  readonly why?: string | undefined
}

/** Refuses a build whose numbers are not what they were expected to be. */
export const checkExpectation = ({ expect, differing, build, live }: Comparison, accept: boolean) =>
  expect === "same" && differing > 0 && !accept ? Effect.fail(new Unexplained({ build, live, differing })) : Effect.void

/**
 * Makes a build answer queries in place of the one that does, if its numbers are what they were expected to be. Formulas of
 * other metrics have no cells, so they are not compared, and neither is what takes the place of one.
 */
export const promote = Effect.fn("promote")(function* (asked: string, { accept = false, why }: PromoteOptions = {}) {
  const builds = yield* findBuilds(asked)
  const waiting = yield* findVersion(builds, ({ liveSince }) => liveSince === null)
  if (waiting !== null && isFormulaMetric(waiting.definition)) {
    return { ...(yield* goTo("metric_promoted", waiting, why)), comparison: null }
  }
  // The newest that is meant, whatever its state: what was replaced by it is gone back to, not promoted.
  const build = yield* pickBuild(builds, ["building", "ready", "detached", "live"], "build to promote")
  if (build.state === "live") return yield* new AlreadyLive({ build: buildName(build) })
  if (build.state === "building") return yield* new NotReady({ build: buildName(build) })
  const comparison = liveAmong(builds) === undefined ? null : yield* compare(buildName(build))
  if (comparison !== null) yield* checkExpectation(comparison, accept)
  yield* switchTo("metric_promoted", [switchOf(build, builds.all)], why)
  return { live: buildName(build), replaced: comparison?.live ?? null, comparison }
})

/** Makes the build that answered before the one that does answer again, or one that is named and answered earlier. */
export const rollBack = Effect.fn("rollBack")(function* (asked: string, why?: string) {
  const builds = yield* findBuilds(asked)
  const before = yield* findVersion(builds, ({ liveSince }) => liveSince !== null)
  const hasBuild = builds.all.some(({ definition }) => before !== null && countsTheSame(definition, before.definition))
  if (before !== null && !hasBuild) {
    const gone = yield* goTo("metric_rolled_back", before, why)
    // What had given up its cells for a formula is built again.
    if (buildsMeasure(before.definition)) yield* Projector.use((projector) => projector.project())
    return gone
  }
  const live = liveAmong(builds)
  const [build] = builds.all
    .filter((it) => it.state === "detached" && isNamed(it, builds.name))
    .toSorted((a, b) => (b.liveSince ?? 0) - (a.liveSince ?? 0))
  if (build === undefined) {
    const there = builds.all.map((it) => `${buildName(it)} (${it.state})`)
    return yield* new NoSuchBuild({ asked, wanted: "metric with an earlier build to go back to", there })
  }
  yield* switchTo("metric_rolled_back", [switchOf(build, builds.all)], why)
  const replaced = live === undefined ? null : buildName(live)
  return { live: buildName(build), replaced } satisfies Promoted
})

/** Of the versions in the log that are meant and don't answer, the latest that `isAsked`. */
const findVersion = Effect.fnUntraced(function* (
  { name: { metric, version, build } }: FoundBuilds,
  isAsked: (version: AppliedVersion) => boolean,
) {
  const history = (yield* readControl).metrics.get(metric)
  if (history === undefined || history.live === null || build !== null) return null
  const found = history.versions
    .filter((it) => it.kept && it.definition.version !== history.live && isAsked(it))
    .filter(({ definition }) => version === null || definition.version === version)
    .toSorted((a, b) => (a.liveSince ?? 0) - (b.liveSince ?? 0))
    .at(-1)
  return found === undefined ? null : { definition: found.definition, live: history.live }
})

/** Goes to a version as the log has it. */
const goTo = Effect.fnUntraced(function* (
  what: "metric_promoted" | "metric_rolled_back",
  { definition, live }: { readonly definition: MetricDefinition; readonly live: number },
  why: string | undefined,
) {
  const { name, version } = definition
  yield* switchTo(what, [{ metric: name, version, build: null }], why)
  const replaced = versionName({ name, version: live })
  return { live: versionName({ name, version }), replaced } satisfies Promoted
})
