import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { readControl } from "../control.ts"
import { provePositions } from "../provePosition.ts"

/** How the read model is begun anew. */
export interface BeginOptions {
  /** Takes the log for the truth as it is, also when it no longer holds what the read model was made from. */
  readonly acceptLog?: boolean
}

/**
 * Empties the read model, so that it is made anew from the log. What it stands on is the only witness of a log that lost
 * its end or was put back to an older copy, so without `acceptLog` the log must first hold it.
 */
export const beginAnew = Effect.fn("beginAnew")(function* ({ acceptLog = false }: BeginOptions = {}) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const made = yield* readModel.made
  if (!acceptLog) {
    yield* log.prove
    yield* provePositions
  }
  const { settings } = yield* readControl
  // Whoever has emptied it meanwhile did what was to be done.
  yield* readModel.wipe(settings, made)
})
