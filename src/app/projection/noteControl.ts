import { Effect } from "effect"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import type { Plan } from "./prepare.ts"

/** Notes the end of the control facts that the read model is in line with. */
export const noteControl = Effect.fnUntraced(function* ({ controlEnd, made }: Plan) {
  const readModel = yield* ReadModel
  if (controlEnd === null || controlEnd.sum === (yield* readModel.controlEnd)?.sum) return
  yield* readModel.noteControlEnd(controlEnd, made)
})
