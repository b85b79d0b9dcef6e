import { Effect } from "effect"
import { buildName } from "../../domain/projection/buildName.ts"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { decision, readControl, record } from "../control.ts"
import { Overtaken } from "../metrics/Overtaken.ts"
import { findBuilds, pickBuild } from "./builds.ts"
import { bringInLine } from "../projection/bringInLine.ts"
import { StillLive } from "./errors.ts"

/**
 * Gives up a build that does not answer queries: one that is being built, so that this ends, one that is ready, or one that
 * another has replaced, which can't be gone back to any more. Gives its name.
 */
export const drop = Effect.fn("drop")(function* (asked: string, why?: string) {
  const readModel = yield* ReadModel
  const made = yield* readModel.made
  const builds = yield* findBuilds(asked)
  const build = yield* pickBuild(builds, ["building", "ready", "detached", "live"], "build")
  const { definition, state } = build
  const others = builds.all.some(({ id, definition: { version } }) => id !== build.id && version === definition.version)
  const { metrics } = yield* readControl
  if (state === "live" || (!others && metrics.get(definition.name)?.live === definition.version)) {
    return yield* new StillLive({ build: buildName(build), metric: definition.name, isBuilt: state === "live" })
  }
  const body = {
    metric: definition.name,
    version: definition.version,
    // Of several builds of a version one goes; with the last goes the version.
    build: others ? build.build : null,
    ...decision(why ?? null),
  }
  yield* record([{ name: "metric_dropped", body }])
  if (made === null) return buildName(build)
  // What somebody has promoted meanwhile goes on, and so does a build that other versions that count the same go by.
  if (others) yield* readModel.drop([build], made)
  else yield* bringInLine(made)
  const left = (yield* readModel.measures).find(({ id }) => id === build.id)
  if (left?.state === "live") {
    return yield* new Overtaken({ what: `${buildName(build)} answers queries, and was not given up` })
  }
  return buildName(build)
})
