import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { openSpoolFile, type SpoolFile } from "../../infra/embedded/SpoolFile.ts"
import { SpoolUnavailable } from "./errors.ts"

/** Processes that spool below one directory at once, at most. */
const SLOTS_MAX = 256

/** A spool below the directory that processes of one machine share: each has a numbered one of its own. */
export interface Slot {
  readonly directory: string
  readonly file: SpoolFile
}

/** Opens the first spool that no process has open; one that a process left behind comes with what is in it. */
export const openSlot = Effect.fnUntraced(function* (
  directory: string,
): Effect.fn.Return<Slot, SpoolUnavailable, Scope.Scope> {
  for (let n = 0; n < SLOTS_MAX; n++) {
    const slot = join(directory, String(n))
    const file = yield* openSpoolFile(slot).pipe(
      Effect.catchTags({
        StoreInUse: () => Effect.succeed(null),
        StoreUnavailable: ({ reason }) => new SpoolUnavailable({ directory: slot, reason }),
        StoreNewer: () => new SpoolUnavailable({ directory: slot, reason: "a newer version of Tidemark made it" }),
      }),
    )
    if (file !== null) return { directory: slot, file }
  }
  return yield* new SpoolUnavailable({ directory, reason: `${SLOTS_MAX} processes have it open` })
})

/** Spools that ended processes left below a directory, except one's own: those that can be opened. */
export const leftSlots = (directory: string, own: string): ReadonlyArray<string> =>
  existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => /^\d+$/.test(name))
        .map((name) => join(directory, name))
        .filter((slot) => slot !== own)
    : []
