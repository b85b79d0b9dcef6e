import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { retireMetric } from "../../../metrics/retireMetric.ts"
import { json, withStore } from "../../options.ts"
import { printJson } from "../../print.ts"
import { projectUnlessStill } from "../../projecting.ts"

export const retireCommand = Command.make(
  "retire",
  { name: Argument.String("name").pipe(Argument.withDescription("A metric that was applied")), json },
  ({ name, json }) =>
    withStore(
      Effect.gen(function* () {
        const retired = yield* retireMetric(name)
        const { waiting } = yield* projectUnlessStill()
        if (json) return yield* printJson({ ...retired, waiting })
        const { version, outcome } = retired
        yield* Console.log(
          outcome === "retired"
            ? `${name} is retired with version ${version}; applying version ${version + 1} brings it back.`
            : `${name} was retired with version ${version} before.`,
        )
        if (waiting !== null) yield* Console.log(`Recorded; it ends when the workers go on. ${waiting}`)
      }),
    ),
).pipe(
  Command.withDescription("End a metric: it is projected and answered no more, its versions stay in the history"),
  Command.withExamples([{ command: "tidemark metrics retire revenue", description: "Count revenue no more" }]),
)
