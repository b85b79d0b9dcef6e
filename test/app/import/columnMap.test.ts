import { Result } from "effect"
import { describe, expect, test } from "vitest"
import { parseColumnMap } from "../../../src/app/import/columnMap.ts"

/** What `--map` says. */

describe("--map", () => {
  test("is read from pairs", () => {
    expect(parseColumnMap("time=ts, user=uid,previousId=old,event=a=b")).toEqual(
      Result.succeed({ time: "ts", user: "uid", previous: "old", event: "a=b" }),
    )
    expect(parseColumnMap("")).toEqual(Result.succeed({}))
  })

  test.each([
    ["time", "a pair is not of the form KEY=COLUMN"],
    ["time=", "a pair is not of the form KEY=COLUMN"],
    ["tme=ts", "no such key (did you mean time?)"],
    ["previous=a,previousId=b", "previous is given twice"],
  ])("refuses %s", (text, problem) => {
    const parsed = parseColumnMap(text)
    expect(Result.isFailure(parsed) && parsed.failure.message).toContain(problem)
  })
})
