import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { hasStore } from "../../../embedded.ts"
import { problemText } from "../../../metrics/BadDefinition.ts"
import { validateFilesAlone, validateMetrics } from "../../../metrics/validateMetrics.ts"
import { CliFailure, EXIT } from "../../failure.ts"
import { configuration, json, withStore } from "../../options.ts"
import { counted, printJson, visible } from "../../print.ts"
import { files } from "./files.ts"
import { strict } from "./strict.ts"

export const validateCommand = Command.make(
  "validate",
  { files, strict, json },
  Effect.fn(function* ({ files, strict, json }) {
    const { servers, directory } = yield* configuration
    const alone = servers === null && !hasStore(directory)
    const checked = yield* alone ? validateFilesAlone(files) : withStore(validateMetrics(files))
    const problems = strict ? [...checked.problems, ...checked.warnings] : checked.problems
    const warnings = strict ? [] : checked.warnings
    if (json) yield* printJson({ definitions: checked.definitions, problems, warnings, store: !alone })
    else {
      for (const warning of warnings) yield* Console.log(`warning: ${visible(problemText(warning))}`)
    }
    if (problems.length > 0) {
      return yield* new CliFailure({ sentence: problems.map(problemText).join("\n"), code: EXIT.badRequest })
    }
    if (json) return
    const beside = alone
      ? `No store is in ${directory}, so they were checked beside the built-in metrics only.`
      : "They can be applied to what the store has."
    yield* Console.log(`${counted(checked.definitions, "definition")} without a problem. ${beside}`)
  }),
).pipe(
  Command.withDescription("Check definition files: every problem of every file, with its line"),
  Command.withExamples([{ command: "tidemark metrics validate metrics/", description: "Check a directory in CI" }]),
)
