import { describe, expect, test, vi } from "vitest"
import { FLAWS } from "./flaws.ts"
import { simulateSeed } from "./simulateSeed.ts"

vi.setConfig({ testTimeout: 600_000 })

/** Seeds in which each flaw must be found. */
const SEEDS_MAX = 150

describe("a pipeline that is broken on purpose is found out", () => {
  test.each(FLAWS)("one that %s", (flaw) => {
    const found: Array<string> = []
    for (let seed = 1; seed <= SEEDS_MAX && found.length < 2; seed++) {
      const { violation } = simulateSeed(seed, { flaw })
      if (violation !== null) found.push(`seed ${seed}: ${violation.split("\n")[0]}`)
    }
    console.info(`${flaw}: ${found.join("; ")}`)
    expect(found).toHaveLength(2)
  })
})
