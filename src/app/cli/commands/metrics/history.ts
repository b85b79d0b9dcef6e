import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { type HistoryEntry, metricHistory } from "../../../metrics/versions.ts"
import { json, withStore } from "../../options.ts"
import { printJson } from "../../print.ts"
import { fieldLine } from "./fieldLine.ts"

export const historyCommand = Command.make(
  "history",
  { name: Argument.String("name").pipe(Argument.withDescription("A metric, also a retired one")), json },
  ({ name, json }) =>
    withStore(
      Effect.gen(function* () {
        const history = yield* metricHistory(name)
        yield* json ? printJson({ metric: name, history }) : Console.log(history.flatMap(entryLines).join("\n"))
      }),
    ),
).pipe(
  Command.withDescription("Show all versions of a metric, and what changed from each to the next"),
  Command.withExamples([{ command: "tidemark metrics history revenue", description: "How revenue came to be" }]),
)

const entryLines = ({ what, version, at, state, fields }: HistoryEntry): ReadonlyArray<string> => [
  what === "retired"
    ? `${at}  retired with version ${version}`
    : `${at ?? "built in"}  version ${version}${state === "live" ? ", live" : state === "building" ? ", being built" : ""}`,
  ...fields.map((field) => `    ${fieldLine(field)}`),
]
