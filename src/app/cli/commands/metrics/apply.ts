import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { applyMetrics } from "../../../metrics/applyMetrics.ts"
import { json, withNewStore } from "../../options.ts"
import { printJson } from "../../print.ts"
import { projectShowing } from "../../projecting.ts"
import { files, inLines } from "./files.ts"

export const applyCommand = Command.make("apply", { files, json }, ({ files, json }) =>
  withNewStore(
    Effect.gen(function* () {
      const applied = yield* inLines(applyMetrics(files))
      let waiting = null as string | null
      const { built } = yield* projectShowing("project").pipe(
        // The definitions are recorded all the same.
        Effect.catchTag("WorkersStandStill", ({ message }) => {
          waiting = message
          return Effect.succeed({ built: [] })
        }),
      )
      if (json) return yield* printJson({ applied, built, waiting })
      for (const { name, version, outcome } of applied) yield* Console.log(`${name} version ${version}: ${outcome}`)
      if (waiting !== null) yield* Console.log(`Recorded; what is new is built when the workers go on. ${waiting}`)
      if (built.length > 0) yield* Console.log(`Live over all of history: ${built.join(", ")}.`)
    }),
  ),
).pipe(
  Command.withDescription("Record definitions in the log, and project them over all of history"),
  Command.withExamples([{ command: "tidemark metrics apply funnels.yaml", description: "Declare funnels" }]),
)
