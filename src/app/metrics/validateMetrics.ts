import { Effect } from "effect"
import { readControl } from "../control.ts"
import { checkFiles, NOTHING_APPLIED } from "./checkFiles.ts"
import { warnOfUnseen } from "./warnOfUnseen.ts"

/** Every problem and every warning of definition files, as beside what a store has. */
export const validateMetrics = Effect.fn("validateMetrics")(function* (files: ReadonlyArray<string>) {
  const { found, problems } = yield* checkFiles(files, yield* readControl)
  return { definitions: found.length, problems, warnings: yield* warnOfUnseen(found) }
})

/** The same where there is no store: only what the files say of each other. */
export const validateFilesAlone = Effect.fnUntraced(function* (files: ReadonlyArray<string>) {
  const { found, problems } = yield* checkFiles(files, NOTHING_APPLIED)
  return { definitions: found.length, problems, warnings: [] }
})
