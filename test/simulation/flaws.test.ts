import { describe, expect, test, vi } from "vitest"
import { FLAWS, SHOWS_WITH } from "./flaws.ts"
import { simulateSeed } from "./simulateSeed.ts"

vi.setConfig({ testTimeout: 600_000 })

/** Seeds within which each flaw must be found: a third of those that a healthy pipeline must stand. */
const SEEDS_MAX = 333

describe("a pipeline that is broken on purpose is found out", () => {
  test.each(FLAWS)(`one that %s, within ${SEEDS_MAX} seeds`, (flaw) => {
    const options = { flaw, with: SHOWS_WITH[flaw] ?? [] }
    let seed = 1
    while (seed <= SEEDS_MAX && simulateSeed(seed, options).violation === null) seed++
    expect(seed).toBeLessThanOrEqual(SEEDS_MAX)
    // It is the flaw that was found, not the world that fails.
    expect(simulateSeed(seed, { with: options.with }).violation).toBeNull()
  })
})
