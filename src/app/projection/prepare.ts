import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import { sameSettings, type Settings } from "../../domain/settings.ts"
import { readControl } from "../control.ts"
import { provePositions } from "../provePosition.ts"
import { bringInLine } from "./bringInLine.ts"

/** What a projection works by: settings and builds. */
export interface Plan {
  readonly settings: Settings
  readonly versions: ReadonlyArray<Build>
  /** The read model that was prepared: see `ReadModel.made`. */
  readonly made: string
  /** Whether the read model was emptied, because the project's settings changed. */
  readonly wiped: boolean
}

/**
 * Brings the read model in line with the control facts of the log: proves that the log is whole and that the read model was
 * made from it, empties it when the settings are others, and brings its metrics to what was applied, promoted and dropped.
 */
export const prepare = Effect.gen(function* () {
  for (;;) {
    const plan = yield* prepareOnce
    if (plan !== null) return plan
  }
})

/** `null` when somebody else has made the read model ready meanwhile, maybe by newer control facts: then look again. */
const prepareOnce = Effect.gen(function* () {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  // First of all, so that nobody empties by these control facts what was made by newer ones.
  const found = yield* readModel.made
  // The last batch of a writer's chain can be lost without a trace in any chain.
  yield* log.prove
  const control = yield* readControl
  const held = yield* readModel.settings
  yield* provePositions
  const changed = held === null || !sameSettings(held, control.settings)
  const made = changed ? yield* readModel.wipe(control.settings, found) : found
  if (made === null) return null
  yield* bringInLine(made)
  return {
    settings: control.settings,
    versions: yield* readModel.measures,
    made,
    wiped: changed && held !== null,
  } satisfies Plan
})
