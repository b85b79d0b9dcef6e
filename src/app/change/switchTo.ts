import { Effect } from "effect"
import type { ControlFact } from "../../domain/control/ControlFact.ts"
import { buildName, versionName } from "../../domain/projection/buildName.ts"
import { type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import { decision, readControl, record } from "../control.ts"
import { Overtaken } from "../metrics/Overtaken.ts"
import { bringInLine } from "../projection/bringInLine.ts"

/** A version of a metric that is to answer queries. */
export interface Switch {
  readonly metric: string
  readonly version: number
  /** Where it is not to be the newest build of another version than the one that answers. */
  readonly build: Build | null
}

/** A build that is to answer in place of another one of the metric, of whose builds it is one. */
export const switchOf = (build: Build, all: ReadonlyArray<Build>): Switch => {
  const { name, version } = build.definition
  const built = all.filter(({ definition, state }) => definition.version === version && state !== "building")
  const isNewest = built.at(-1)?.id === build.id
  return { metric: name, version, build: isNewest && built.every(({ state }) => state !== "live") ? null : build }
}

/**
 * Lets versions of metrics answer queries, all from one moment on. The decision goes into the log first, and a read model that
 * is made anew from it comes to the same; between two builds of one version it decides nothing there, and is kept for the
 * record.
 */
export const switchTo = Effect.fnUntraced(function* (
  name: "metric_promoted" | "metric_rolled_back",
  switches: ReadonlyArray<Switch>,
  why: string | undefined,
) {
  if (switches.length === 0) return
  const readModel = yield* ReadModel
  const made = yield* readModel.made
  yield* record(
    switches.map(({ metric, version, build }): ControlFact => ({
      name,
      body: { metric, version, build: build?.build ?? null, ...decision(why ?? null) },
    })),
  )
  if (made !== null) {
    // All that the log leaves open at once, and then the rest at once: the log has the last word.
    yield* readModel.makeLive(
      switches.flatMap(({ build }) => (build === null ? [] : [build.id])),
      made,
    )
    yield* bringInLine(made)
  }
  const { metrics } = yield* readControl
  const live = new Set((yield* readModel.measures).flatMap(({ id, state }) => (state === "live" ? [id] : [])))
  const lost = switches.find(({ metric, version, build }) =>
    build === null ? metrics.get(metric)?.live !== version : !live.has(build.id),
  )
  if (lost === undefined) return
  const what = lost.build === null ? versionName({ name: lost.metric, version: lost.version }) : buildName(lost.build)
  return yield* new Overtaken({ what: `${what} does not answer queries` })
})
