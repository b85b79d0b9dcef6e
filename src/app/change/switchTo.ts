import { Effect } from "effect"
import type { ControlFact } from "../../domain/control/ControlFact.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { type MeasureVersion, ReadModel } from "../../domain/projection/ReadModel.ts"
import { decision, record } from "../control.ts"
import { bringInLine } from "../projection/bringInLine.ts"
import { Overtaken } from "./errors.ts"

/** A build that is to answer queries, and the one that does. */
export interface Switch {
  readonly build: MeasureVersion
  readonly live: MeasureVersion
}

/**
 * Lets builds answer queries, all from one moment on. The decision goes into the log first, and a read model that is made
 * anew from it comes to the same; between two builds of one version it decides nothing there, and is kept for the record.
 */
export const switchTo = Effect.fnUntraced(function* (
  name: "metric_promoted" | "metric_rolled_back",
  switches: ReadonlyArray<Switch>,
  why: string | undefined,
) {
  const readModel = yield* ReadModel
  const made = yield* readModel.made
  yield* record(switches.map((it): ControlFact => ({ name, body: factOf(it, why) })))
  const ids = switches.map(({ build }) => build.id)
  if (made !== null) {
    yield* readModel.makeLive(ids, made)
    // Somebody may have decided otherwise in between: the log has the last word.
    yield* bringInLine(made)
  }
  const live = (yield* readModel.measures).filter(({ state }) => state === "live")
  const lost = switches.find(({ build }) => live.every(({ id }) => id !== build.id))
  if (lost !== undefined) return yield* new Overtaken({ what: `${buildName(lost.build)} does not answer queries` })
})

const factOf = ({ build, live }: Switch, why: string | undefined) => ({
  metric: build.definition.name,
  version: build.definition.version,
  build: build.definition.version === live.definition.version ? build.build : null,
  ...decision(why ?? null),
})
