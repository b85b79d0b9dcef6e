import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { versionName } from "../../../../domain/projection/buildName.ts"
import { applyMetrics } from "../../../change/apply.ts"
import { flag, given, json, withNewStore } from "../../options.ts"
import { printJson } from "../../print.ts"
import { showingProjection } from "../../projecting.ts"
import { comparisonLines } from "./comparisonLines.ts"
import { accept, why } from "./decision.ts"
import { files, inLines } from "./files.ts"

const OUTCOMES = {
  applied: "applied",
  unchanged: "unchanged",
  "passed-over": "unchanged; it was gone back from or given up, and stays so",
} as const

export const applyCommand = Command.make(
  "apply",
  {
    files,
    accept,
    noPromote: flag("no-promote", "Build new versions beside what answers, and leave it at that"),
    why,
    json,
  },
  ({ files, accept, noPromote, why, json }) =>
    withNewStore(
      Effect.scoped(
        Effect.gen(function* () {
          const showing = yield* showingProjection(json)
          const options = { ...showing, accept, promote: !noPromote, why: given(why) }
          const { applied, comparisons, promoted, waiting, standstill } = yield* inLines(applyMetrics(files, options))
          if (json) return yield* printJson({ applied, comparisons, promoted, waiting, standstill })
          for (const it of applied) yield* Console.log(`${versionName(it)}: ${OUTCOMES[it.outcome]}`)
          for (const comparison of comparisons) yield* Console.log(comparisonLines(comparison).join("\n"))
          if (promoted.length > 0) yield* Console.log(`Live from now on: ${promoted.join(", ")}.`)
          if (standstill !== null) {
            yield* Console.log(`Recorded; what is new is built when the workers go on. ${standstill}`)
            if (waiting.length > 0) {
              yield* Console.log(
                `Not live yet: ${waiting.join(", ")}. Apply the files again when the workers have gone on.`,
              )
            }
          } else if (waiting.length > 0) {
            yield* Console.log(
              `Ready, and not live: ${waiting.join(", ")}. "tidemark metrics promote ${waiting[0]}" makes ${waiting.length === 1 ? "it" : "the first"} live.`,
            )
          }
        }),
      ),
    ),
).pipe(
  Command.withDescription(
    "Record definitions in the log, build what is new over all of history, compare it with what answers, and switch",
  ),
  Command.withExamples([
    { command: "tidemark metrics apply funnels.yaml", description: "Declare funnels" },
    {
      command: "tidemark metrics apply metrics/ --no-promote",
      description: "Build new versions, and look at them first",
    },
  ]),
)
