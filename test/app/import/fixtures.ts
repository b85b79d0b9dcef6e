import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { Cause, Effect, Exit, Option, Stream } from "effect"
import type { ImportError } from "../../../src/app/import/errors.ts"
import { importFile, type ImportOptions, type Row } from "../../../src/app/import/importFile.ts"
import type { Event } from "../../../src/domain/event/Event.ts"
import { TimeZone } from "../../../src/domain/time/TimeZone.ts"

/** Imports of small files, and what comes of them. */

export const NOW = Date.parse("2026-01-01T00:00:00Z")

export const defaults: ImportOptions = {
  format: "auto",
  map: {},
  eventName: null,
  zone: TimeZone.utc,
  now: NOW,
}

export interface Outcome {
  readonly rows: ReadonlyArray<Row>
  readonly events: ReadonlyArray<Event>
  readonly rejected: ReadonlyArray<Extract<Row, { _tag: "Rejected" }>>
  readonly error: ImportError | undefined
}

export const run = async (file: string, options: Partial<ImportOptions> = {}): Promise<Outcome> => {
  const rows: Array<Row> = []
  const exit = await Effect.runPromiseExit(
    importFile(file, { ...defaults, ...options }).pipe(
      Stream.runForEach((some) =>
        Effect.sync(() => {
          rows.push(...some)
        }),
      ),
    ),
  )
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  if (Exit.isFailure(exit) && error === undefined) throw Cause.squash(exit.cause)
  return {
    rows,
    events: rows.flatMap((row) => (row._tag === "Accepted" ? [row.event] : [])),
    rejected: rows.flatMap((row) => (row._tag === "Rejected" ? [row] : [])),
    error,
  }
}

/** Imports contents from a file, under the name given. */
export const runOn = async (
  contents: string | Uint8Array,
  options: Partial<ImportOptions> = {},
  name = "events",
): Promise<Outcome> => {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-import-"))
  const file = path.join(folder, name)
  try {
    await writeFile(file, contents)
    return await run(file, options)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export const reasons = (outcome: Outcome): ReadonlyArray<readonly [number, string]> =>
  outcome.rejected.map((row) => [row.line, row.rejection.reason] as const)

export const line = (fields: object): string =>
  JSON.stringify({ event: "a", userId: "u1", timestamp: "2025-01-01", ...fields })

export const CSV = "ts,user_id,event,plan\n2025-01-01T10:00:00Z,u1,click,pro\n2025-01-02T10:00:00Z,u2,view,\n"
