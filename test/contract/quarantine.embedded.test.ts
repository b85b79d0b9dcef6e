import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { openSqliteLog } from "../../src/infra/embedded/SqliteLog.ts"
import { makeSqliteQuarantine } from "../../src/infra/embedded/SqliteQuarantine.ts"
import { quarantineContract } from "./quarantine.ts"

const made: Array<string> = []
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

quarantineContract("the quarantine in SQLite", () => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-quarantine-"))
  made.push(directory)
  return Effect.map(openSqliteLog(directory, { partitions: 1 }), ({ database }) => makeSqliteQuarantine(database))
})
