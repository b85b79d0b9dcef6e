import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { stringify } from "yaml"
import { showMetricVersion } from "../../../metrics/versions.ts"
import { given, json, withStore } from "../../options.ts"
import { printJson, visible } from "../../print.ts"

export const showCommand = Command.make(
  "show",
  {
    name: Argument.String("name").pipe(Argument.withDescription("A metric, built in or applied")),
    version: Flag.Int("version").pipe(Flag.withDescription("Which version (default: the latest)"), Flag.optional),
    json,
  },
  ({ name, version, json }) =>
    withStore(
      Effect.gen(function* () {
        const { definition, state, appliedAt } = yield* showMetricVersion(name, given(version))
        if (json) return yield* printJson({ definition, state, appliedAt })
        const lines = stringify(definition).trimEnd().split("\n").map(visible)
        yield* Console.log(
          [`# ${state}, ${appliedAt === null ? "built in" : `applied ${appliedAt}`}`, ...lines].join("\n"),
        )
      }),
    ),
).pipe(
  Command.withDescription("Show a metric's definition as YAML, and where it stands"),
  Command.withExamples([
    { command: "tidemark metrics show revenue --version 1", description: "What revenue once was" },
  ]),
)
