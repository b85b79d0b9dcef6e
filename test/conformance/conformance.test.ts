import { describe, expect, it } from "vitest"
import { hasShared } from "../support/shared.ts"
import { caseFiles, readCases } from "./cases.ts"
import { ARRIVALS, evaluate } from "./evaluate.ts"
import { notCovered, notCoveredFiles } from "./notCovered.ts"

/** Numbers from other products' tests and documentation, under the policies of docs/reference/semantics.md. */

const COVERED_FILES = [
  "active-users.json",
  "funnels.ordered.json",
  "funnels.vendor-docs.json",
  "identity.json",
  "regressions.json",
  "sessions.json",
  "timestamps.json",
  "window-funnel.json",
]

const present = hasShared("conformance")

describe.skipIf(!present)("conformance", () => {
  const cases = present ? COVERED_FILES.flatMap((file) => readCases(file).map((given) => ({ ...given, file }))) : []
  const covered = cases.filter(({ id }) => !Object.hasOwn(notCovered, id))

  it("leaves no case out without saying so", () => {
    expect(caseFiles()).toEqual([...COVERED_FILES, ...Object.keys(notCoveredFiles)].sort())
    const ids = cases.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(Object.keys(notCovered).filter((id) => !ids.includes(id))).toEqual([])
    const later = Object.keys(notCoveredFiles).flatMap((file) => readCases(file)).length
    console.log(`conformance: ${covered.length} covered, ${Object.keys(notCovered).length + later} not yet covered`)
  })

  for (const [arrival, arrive] of Object.entries(ARRIVALS)) {
    it.each(covered)(`$file $id: $title (${arrival})`, (given) => {
      expect(evaluate(given, arrive)).toEqual(given.expected)
    })
  }
})
