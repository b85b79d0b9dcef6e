import { describe, expect, test, vi } from "vitest"
import { NO_FAULTS, NthCallFails } from "./faults.ts"
import { play } from "./script.ts"

vi.setConfig({ testTimeout: 300_000 })

/** Calls that the script makes at least; below it, something is not asked of the ports any more. */
const CALLS_MIN = 80

describe.each(["one", "many"] as const)(
  "append, project, apply a metric, project, alias, project; log of %s writers",
  (writers) => {
    test("is right when nothing fails", () => {
      const { violations, failures } = play({ writers, faults: NO_FAULTS, killedAt: null, startsAnew: false })
      expect(violations).toEqual([])
      expect(failures).toBe(0)
    })

    test.each([false, true])(
      "is right when the Nth call of a port fails, for every N and in every way (another process goes on: %s)",
      (startsAnew) => {
        const struck = new Set<string>()
        let calls = Number.POSITIVE_INFINITY
        let nth = 1
        for (; nth <= calls; nth++) {
          for (let way = 0, ways = 1; way < ways; way++) {
            const faults = new NthCallFails(nth, way)
            const { violations } = play({ writers, faults, killedAt: null, startsAnew })
            expect(violations, `call ${nth}, ${faults.struck}`).toEqual([])
            if (faults.calls < nth) {
              calls = faults.calls
              break
            }
            ways = faults.ways
            if (faults.struck !== null) struck.add(faults.struck)
          }
        }
        expect(calls).toBeGreaterThan(CALLS_MIN)
        for (const what of [
          "log.append: prefix",
          "commit live/0 writes: lost-answer",
          "commit live/1 writes: unknown-not-done",
          "wipe: lost-answer",
          "register: lost-answer",
        ]) {
          expect([...struck]).toContain(what)
        }
      },
    )

    test("is right when the process is killed at its Nth step, for every N", () => {
      const { steps } = play({ writers, faults: NO_FAULTS, killedAt: null, startsAnew: false })
      expect(steps).toBeGreaterThan(CALLS_MIN)
      for (let killedAt = 1; killedAt <= steps; killedAt++) {
        const { violations } = play({ writers, faults: NO_FAULTS, killedAt, startsAnew: true })
        expect(violations, `killed at step ${killedAt}`).toEqual([])
      }
    })
  },
)
