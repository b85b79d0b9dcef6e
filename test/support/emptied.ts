import { Effect } from "effect"
import type { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { Settings } from "../../src/domain/settings.ts"

/** Empties a read model, whoever made it. */
export const emptied = (readModel: ReadModel["Service"], settings: Settings) =>
  Effect.flatMap(readModel.made, (made) => readModel.wipe(settings, made))
