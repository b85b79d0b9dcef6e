import { describe, expect, test, vi } from "vitest"
import { CALL_FAULTS } from "./faults.ts"
import { report } from "./shorten.ts"
import { simulateSeed } from "./simulateSeed.ts"

// Milliseconds a seed, more on a busy machine.
vi.setConfig({ testTimeout: 600_000 })

/** Seeds of one run of the suite; `SEEDS=20000` plays more, `SEED=7` one. */
const SEEDS = Number(process.env["SEEDS"] ?? 1000)
const FIRST = process.env["SEED"] === undefined ? 1 : Number(process.env["SEED"])
const COUNT = process.env["SEED"] === undefined ? SEEDS : 1

/** Seeds of one test, so that one can see how far it is. */
const SLICE = 250

/** Seeds that are played twice. */
const TWICE = 20

/** What a run of many seeds must have met, or it proves less than it says. */
const MEETS = [
  ...CALL_FAULTS,
  "a projector is killed",
  "a writer is killed",
  "a process is frozen",
  "a clock jumps",
  "a rebuild",
  "a session is ended",
  "settings change",
  "metrics change",
  "damage",
  "an older copy is put back",
  "a bit is flipped",
  "a record is cut",
  "a record is lost",
  "the tail is lost",
  "retention",
]

describe(`the simulation, ${COUNT} seeds`, () => {
  const met = new Map<string, number>()

  for (let from = FIRST; from < FIRST + COUNT; from += SLICE) {
    const to = Math.min(from + SLICE, FIRST + COUNT)
    test(`seeds ${from} to ${to - 1}: nothing lost, nothing double, no stale step, damage named, no false alarm`, () => {
      let comparisons = 0
      for (let seed = from; seed < to; seed++) {
        const outcome = simulateSeed(seed)
        if (outcome.violation !== null) throw new Error(report(seed))
        comparisons += outcome.comparisons
        for (const what of outcome.met) met.set(what, (met.get(what) ?? 0) + 1)
      }
      expect(comparisons).toBeGreaterThanOrEqual(to - from)
    })
  }

  test.runIf(COUNT >= 1000)("they meet every kind of fault, many times", () => {
    expect(MEETS.filter((what) => (met.get(what) ?? 0) < COUNT / 250)).toEqual([])
  })

  test(`a seed decides everything: ${TWICE} of them are the same when played again`, () => {
    for (let seed = FIRST; seed < FIRST + TWICE; seed++) {
      const [one, other] = [simulateSeed(seed), simulateSeed(seed)]
      expect(other.hash).toBe(one.hash)
      expect(other.trace).toEqual(one.trace)
    }
  })
})
