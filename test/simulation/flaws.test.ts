import { describe, expect, test, vi } from "vitest"
import { type Flaw, FLAWS, SHOWS_WITH } from "./flaws.ts"
import { simulateSeed } from "./simulateSeed.ts"

vi.setConfig({ testTimeout: 600_000 })

/** Seeds within which each flaw must be found: a third of those that a healthy pipeline must stand. */
const SEEDS_MAX = 333

/** Where some are found that show rarely: it is looked there first, which saves half a minute. */
const SHOWS_AT: Readonly<Partial<Record<Flaw, number>>> = {
  "commits by halves": 61,
  "locks nobody": 171,
  "registers in silence": 165,
}

/** All seeds, from one on. */
const seedsFrom = (first: number) => Array.from({ length: SEEDS_MAX }, (_, n) => ((first - 1 + n) % SEEDS_MAX) + 1)

describe("a pipeline that is broken on purpose is found out", () => {
  test.each(FLAWS)(`one that %s, within ${SEEDS_MAX} seeds`, (flaw) => {
    const options = { flaw, with: SHOWS_WITH[flaw] ?? [] }
    const found = seedsFrom(SHOWS_AT[flaw] ?? 1).find((seed) => simulateSeed(seed, options).violation !== null)
    expect(found).toBeDefined()
    // It is the flaw that was found, not the world that fails.
    expect(simulateSeed(found!, { with: options.with }).violation).toBeNull()
  })
})
