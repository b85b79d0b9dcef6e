import { Effect } from "effect"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import { liveSinceOf } from "../../domain/metric/lifecycle.ts"
import { reconcile } from "../../domain/projection/reconcile.ts"
import { sameSettings } from "../../domain/settings.ts"
import { readControl } from "../control.ts"
import { proveControl } from "../provePosition.ts"

/**
 * Brings the metrics of the read model to what was applied, promoted and dropped, and looks again until there is nothing to
 * do: so whoever was overtaken by a newer fact, and by somebody who followed it, undoes what the older ones said. Then it notes
 * how far the facts go that the read model is in line with, so that answers say what they stand on.
 */
export const bringInLine = Effect.fnUntraced(function* (made: string) {
  const readModel = yield* ReadModel
  for (;;) {
    // Before the facts, so that what is held was asked for by facts among those, and what they don't ask for is over.
    const held = yield* readModel.measures
    if ((yield* readModel.made) !== made) return
    const { metrics, settings, end } = yield* readControl
    // After they were read, since an outage in which the log is put back may come before.
    yield* proveControl
    // Settings that came since are for the next projection, which makes the tables anew.
    const under = yield* readModel.settings
    const stands = under !== null && sameSettings(under, settings) ? end : null
    const { register, relabel, makeLive, drop } = reconcile(metrics, held)
    if (register.length > 0) yield* readModel.register(register, (definition) => liveSinceOf(metrics, definition))
    for (const { id, definition } of relabel) yield* readModel.relabel(id, definition, made)
    if (makeLive.length > 0) yield* readModel.makeLive(makeLive, made, stands)
    if (drop.length > 0) yield* readModel.drop(drop, made)
    if (register.length + relabel.length + makeLive.length + drop.length > 0) continue
    if (stands !== null) yield* readModel.noteControlEnd(stands, made)
    return
  }
})
