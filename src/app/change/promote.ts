import { Effect } from "effect"
import { buildName, isNamed } from "../../domain/projection/buildName.ts"
import { findBuilds, liveAmong, pickBuild } from "./builds.ts"
import { compare, type Comparison } from "./compare.ts"
import { NoSuchBuild, Unexplained } from "./errors.ts"
import { switchOf, switchTo } from "./switchTo.ts"

/** What a promotion, or the way back, came to: names of builds. */
export interface Promoted {
  readonly live: string
  /** What answered before. */
  readonly replaced: string
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

/** Makes a build answer queries in place of the one that does, if its numbers are what they were expected to be. */
export const promote = Effect.fn("promote")(function* (asked: string, { accept = false, why }: PromoteOptions = {}) {
  const builds = yield* findBuilds(asked)
  const build = yield* pickBuild(builds, ["ready", "detached"], "build to promote")
  const comparison = yield* compare(buildName(build))
  yield* checkExpectation(comparison, accept)
  yield* switchTo("metric_promoted", [switchOf(build, builds.all)], why)
  return { live: comparison.build, replaced: comparison.live, comparison } satisfies Promoted & {
    readonly comparison: Comparison
  }
})

/** Makes the build that answered before the one that does answer again, or one that is named and answered earlier. */
export const rollBack = Effect.fn("rollBack")(function* (asked: string, why?: string) {
  const builds = yield* findBuilds(asked)
  const live = liveAmong(builds)
  const [build] = builds.all
    .filter((it) => it.state === "detached" && isNamed(it, builds.name))
    .toSorted((a, b) => (b.liveSince ?? 0) - (a.liveSince ?? 0))
  if (live === undefined || build === undefined) {
    const there = builds.all.map((it) => `${buildName(it)} (${it.state})`)
    return yield* new NoSuchBuild({ asked, wanted: "metric with an earlier build to go back to", there })
  }
  yield* switchTo("metric_rolled_back", [switchOf(build, builds.all)], why)
  return { live: buildName(build), replaced: buildName(live) } satisfies Promoted
})
