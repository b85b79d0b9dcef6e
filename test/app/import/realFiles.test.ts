import { readFile } from "node:fs/promises"
import path from "node:path"
import { Effect, Stream } from "effect"
import { describe, expect, test } from "vitest"
import { importFile } from "../../../src/app/import/importFile.ts"
import { hasShared, sharedPath } from "../../support/shared.ts"
import { defaults, run } from "./fixtures.ts"

/** Files of the shared folder, whole. */

describe("real files", () => {
  const data = sharedPath("data")
  const present = hasShared("data")

  test.skipIf(!present)(
    "git-contributors: every row is accepted, and its alias file as merges",
    { timeout: 60_000 },
    async () => {
      let count = 0
      const users = new Set<string | null>()
      await Effect.runPromise(
        importFile(path.join(data, "git-contributors/events.csv.gz"), {
          ...defaults,
          now: Date.parse("2026-11-01"),
        }).pipe(
          Stream.runForEach((rows) =>
            Effect.sync(() => {
              for (const row of rows) {
                if (row._tag === "Rejected") throw new Error(row.rejection.detail)
                users.add(row.event.userId)
                count++
              }
            }),
          ),
        ),
      )
      expect([count, users.size]).toEqual([1_342_716, 8_645])
      const aliases = await run(path.join(data, "git-contributors/aliases.csv.gz"), {
        eventName: "alias",
        map: { previous: "alias_user_id", user: "canonical_user_id" },
      })
      expect([aliases.events.length, aliases.rejected.length, aliases.error]).toEqual([360, 0, undefined])
    },
  )

  test.skipIf(!present)("otto-mini: JSON lines that are no events are rejected one by one", async () => {
    const file = path.join(data, "otto-mini/sessions.jsonl")
    const lines = (await readFile(file, "utf8")).trimEnd().split("\n").length
    const outcome = await run(file)
    expect(new Set(outcome.rejected.map((row) => row.rejection.reason))).toEqual(new Set(["name-missing"]))
    expect(outcome.rejected.length).toBe(lines)
  })
})
