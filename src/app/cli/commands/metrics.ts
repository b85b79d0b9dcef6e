import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { ReadModel } from "../../../domain/projection/ReadModel.ts"
import { applyMetrics } from "../../metrics.ts"
import { json, withNewStore, withStore } from "../options.ts"
import { formatTable, printJson } from "../print.ts"
import { projectShowing } from "../projecting.ts"

const apply = Command.make(
  "apply",
  { file: Argument.String("file").pipe(Argument.withDescription("YAML file of metric definitions")), json },
  ({ file, json }) =>
    withNewStore(
      Effect.gen(function* () {
        const applied = yield* applyMetrics(file)
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

const list = Command.make("list", { json }, ({ json }) =>
  withStore(
    Effect.gen(function* () {
      const measures = yield* ReadModel.use((readModel) => readModel.measures)
      const rows = measures.map(({ definition, state }) => ({ ...definition, state }))
      if (json) return yield* printJson({ metrics: rows })
      yield* Console.log(
        formatTable(
          ["metric", "version", "kind", "state", "description"],
          rows.map((row) => [row.name, row.version, row.formula.kind, row.state, row.description ?? ""]),
        ),
      )
    }),
  ),
).pipe(Command.withDescription("List metrics with their versions"))

export const metricsCommand = Command.make("metrics").pipe(
  Command.withDescription("Define metrics"),
  Command.withSubcommands([apply, list]),
)
