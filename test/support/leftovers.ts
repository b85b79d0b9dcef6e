import { existsSync, readdirSync, readlinkSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"

/** What closes by itself, such as a socket that said goodbye, has this long; a process of its own would wait for it too. */
const CLOSING_MILLIS = 10_000

const POLL_MILLIS = 5

/** What this process holds: files that are open, listeners, and whatever keeps it from ending. */
export interface Held {
  readonly active: ReadonlyArray<string>
  readonly idle: ReadonlyArray<string>
}

export const heldByProcess = (): Held => ({
  active: process.getActiveResourcesInfo(),
  idle: [...openFiles(), ...listeners()],
})

/** What this process holds beyond what it held before, once that had time to close. */
export const leftSince = async (before: Held): Promise<ReadonlyArray<string>> => {
  const deadline = performance.now() + CLOSING_MILLIS
  for (;;) {
    const now = heldByProcess()
    const active = without(now.active, before.active)
    if (active.length === 0 || performance.now() > deadline) return [...active, ...without(now.idle, before.idle)]
    await pause(POLL_MILLIS, undefined, { ref: false })
  }
}

/** A listener that stays would hear what is meant for the commands after it. */
const listeners = (): ReadonlyArray<string> =>
  process
    .eventNames()
    .flatMap((name) => Array<string>(process.listenerCount(name)).fill(`a listener of ${String(name)}`))

/** Where the operating system lists them. A store that stays open has some. */
const OPEN_FILES = "/proc/self/fd"

const openFiles = (): ReadonlyArray<string> =>
  existsSync(OPEN_FILES)
    ? readdirSync(OPEN_FILES)
        .map(fileOf)
        .filter((file) => file.startsWith("/"))
    : []

const fileOf = (descriptor: string): string => {
  try {
    return readlinkSync(`${OPEN_FILES}/${descriptor}`)
  } catch {
    // The one that listed them is closed again.
    return ""
  }
}

/** The items of one list without those of another, each as often as it is there. */
const without = (items: ReadonlyArray<string>, others: ReadonlyArray<string>): ReadonlyArray<string> => {
  const rest = [...others]
  return items.filter((item) => {
    const at = rest.indexOf(item)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}
