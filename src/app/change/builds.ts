import { Effect } from "effect"
import { type BuildName, buildName, byVersion, isNamed, parseBuildName } from "../../domain/projection/buildName.ts"
import { type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import { NoSuchBuild, NotReady } from "./errors.ts"

/** The read model's builds of one metric, as a person named one of them. */
export interface FoundBuilds {
  readonly asked: string
  readonly name: BuildName
  /** Of the metric, whether named or not; by version and build. */
  readonly all: ReadonlyArray<Build>
}

/** Finds the builds of the metric that is named. */
export const findBuilds = Effect.fnUntraced(function* (asked: string) {
  const readModel = yield* ReadModel
  const name = parseBuildName(asked)
  if (name === undefined)
    return yield* new NoSuchBuild({ asked, wanted: "build (NAME, NAME@2 or NAME@2.3)", there: [] })
  const all = (yield* readModel.measures).filter(({ definition }) => definition.name === name.metric).sort(byVersion)
  return { asked, name, all } satisfies FoundBuilds
})

/** The newest build that is meant, in one of the states given. */
export const pickBuild = Effect.fnUntraced(function* (
  { asked, name, all }: FoundBuilds,
  states: ReadonlyArray<Build["state"]>,
  wanted: string,
) {
  const named = all.filter((build) => isNamed(build, name))
  const found = named.findLast(({ state }) => states.includes(state))
  if (found !== undefined) return found
  const building = named.findLast(({ state }) => state === "building")
  if (building !== undefined) return yield* new NotReady({ build: buildName(building) })
  return yield* new NoSuchBuild({ asked, wanted, there: all.map((build) => `${buildName(build)} (${build.state})`) })
})

/** The live build of the metric. */
export const liveAmong = ({ all }: FoundBuilds): Build | undefined => all.find(({ state }) => state === "live")

/** The live builds of metrics, by default of all. */
export const liveOf = Effect.fnUntraced(function* (metrics: ReadonlyArray<string> | undefined) {
  const readModel = yield* ReadModel
  if (metrics === undefined) return (yield* readModel.measures).filter(({ state }) => state === "live")
  return yield* Effect.forEach(new Set(metrics), (asked) =>
    Effect.gen(function* () {
      const live = liveAmong(yield* findBuilds(asked))
      return live ?? (yield* new NoSuchBuild({ asked, wanted: "metric with cells of its own that is live", there: [] }))
    }),
  )
})
