import { damage } from "./damage.ts"
import { putBack } from "./putBack.ts"
import { retention } from "./retention.ts"
import type { Scene } from "./Scene.ts"

/** How the log of a seed can end: one of those that are switched on. */
export const ENDS = ["retention", "an older copy is put back", "damage"] as const

export const end = (kind: (typeof ENDS)[number], scene: Scene): void => {
  switch (kind) {
    case "retention":
      return retention(scene)
    case "an older copy is put back":
      return putBack(scene)
    case "damage":
      return damage(scene)
  }
}
