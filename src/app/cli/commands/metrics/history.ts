import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { buildName } from "../../../../domain/projection/buildName.ts"
import { type HistoryEntry, metricHistory } from "../../../metrics/versions.ts"
import { json, withStore } from "../../options.ts"
import { printJson, visible } from "../../print.ts"
import { fieldLine } from "./fieldLine.ts"

export const historyCommand = Command.make(
  "history",
  { name: Argument.String("name").pipe(Argument.withDescription("A metric, also a retired one")), json },
  ({ name, json }) =>
    withStore(
      Effect.gen(function* () {
        const history = yield* metricHistory(name)
        yield* json
          ? printJson({ metric: name, history })
          : Console.log(history.flatMap((entry) => entryLines(name, entry)).join("\n"))
      }),
    ),
).pipe(
  Command.withDescription("Show all versions of a metric, and what changed from each to the next"),
  Command.withExamples([{ command: "tidemark metrics history revenue", description: "How revenue came to be" }]),
)

const entryLines = (
  name: string,
  { what, version, build, at, by, why, state, fields }: HistoryEntry,
): ReadonlyArray<string> => [
  [
    `${at ?? "built in"}  ${buildName({ definition: { name, version }, build: build ?? 1 })}`,
    ...(what === "built in" ? [] : [by === null ? what : `${what} by ${visible(by)}`]),
    ...(what === "applied" || what === "built in" ? [state] : []),
    ...(why === null ? [] : [visible(why)]),
  ].join(", "),
  ...fields.map((field) => `    ${fieldLine(field)}`),
]
