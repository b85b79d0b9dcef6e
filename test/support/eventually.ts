import { setTimeout as pause } from "node:timers/promises"

/** Waits until a condition holds, and gives what it found. Fails when it doesn't within the time that a slow machine needs. */
export const eventually = async <A>(what: string, find: () => Promise<A | undefined | false>): Promise<A> => {
  const deadline = performance.now() + 30_000
  while (performance.now() < deadline) {
    const found = await find()
    if (found !== undefined && found !== false) return found
    await pause(10)
  }
  throw new Error(`waited 30 s in vain: ${what}`)
}
