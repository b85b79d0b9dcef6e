import { Effect } from "effect"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import type { LogEnd } from "../../domain/projection/ReadModel.ts"

/** Notes the end of the control facts that the read model is in line with, unless it is in line with later ones. */
export const noteControl = Effect.fnUntraced(function* (end: LogEnd | null, made: string) {
  const readModel = yield* ReadModel
  const noted = yield* readModel.controlEnd
  if (end === null || (noted !== null && noted.position.sequence >= end.position.sequence)) return
  yield* readModel.noteControlEnd(end, made)
})
