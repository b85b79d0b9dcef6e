import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import { type StoreInUse, StoreUnavailable } from "../../infra/embedded/errors.ts"
import { lockStore } from "../../infra/embedded/StoreLock.ts"
import { reasonOf } from "../../infra/files.ts"

/** Replays that are kept: each is a read model of its own on the disk. */
const REPLAYS_MAX = 3

/** How often, and how many times, a replay is asked for again that another process is making or reading: ten minutes. */
const WAIT_MILLIS = 200
const WAITS_MAX = 3000

/** A numbered place for one replay, held by this process alone. */
export interface Slot {
  /** Where the replay's read model is. */
  readonly database: string
  /** Whether what is there is a replay of the key, whole or not; it may be gone on with. */
  readonly holds: boolean
  /** Nobody takes what is there for a replay any more: before it is changed. */
  readonly forget: Effect.Effect<void, StoreUnavailable>
  /** What is there is a replay of the key from now on. */
  readonly name: Effect.Effect<void, StoreUnavailable>
}

/**
 * Holds the place of a replay: the one that has it, or else the one that was not used for longest. Waits while another
 * process holds it.
 */
export const claimSlot = (root: string, key: string): Effect.Effect<Slot, StoreInUse | StoreUnavailable, Scope.Scope> =>
  Effect.retry(claimNow(root, key), {
    while: (error) => error._tag === "StoreInUse",
    schedule: Schedule.spaced(WAIT_MILLIS),
    times: WAITS_MAX,
  })

const claimNow = Effect.fnUntraced(function* (root: string, key: string) {
  const slots = Array.from({ length: REPLAYS_MAX }, (_, n) => look(join(root, String(n + 1))))
  const having = slots.filter((slot) => slot.key === key)
  const candidates = having.length > 0 ? having : slots.toSorted((a, b) => a.usedAt - b.usedAt)
  const directory = yield* Effect.firstSuccessOf(
    candidates.map(({ directory }) => Effect.as(lockStore(directory), directory)),
  )
  const changing = (change: () => void) =>
    Effect.try({ try: change, catch: (cause) => new StoreUnavailable({ directory, reason: reasonOf(cause) }) })
  const name = changing(() => writeFileSync(keyFile(directory), key))
  // Another process may have had it until now, and left another replay there.
  const holds = look(directory).key === key
  if (holds) yield* name
  return {
    database: join(directory, "postgres"),
    holds,
    forget: changing(() => rmSync(keyFile(directory), { force: true })),
    name,
  } satisfies Slot
})

const keyFile = (directory: string): string => join(directory, "replay")

/** What a slot holds, and when that was last asked for; nothing, and long ago, where there is none. */
const look = (directory: string) => {
  try {
    const file = keyFile(directory)
    return { directory, key: readFileSync(file, "utf8"), usedAt: statSync(file).mtimeMs }
  } catch {
    return { directory, key: null, usedAt: 0 }
  }
}
