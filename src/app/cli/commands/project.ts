import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { Projected } from "../../projection/Projector.ts"
import { json, withStore } from "../options.ts"
import { formatCount, printJson } from "../print.ts"
import { projectShowing } from "../projecting.ts"

const report = (projected: Projected, asJson: boolean) =>
  asJson
    ? printJson(projected)
    : Console.log(
        [
          `${formatCount(projected.events)} events projected, ${formatCount(projected.duplicates)} of them duplicates.`,
          ...(projected.rebuilt ? ["The settings had changed, so the read model was made anew."] : []),
          ...(projected.built.length > 0 ? [`New metrics over all of history: ${projected.built.join(", ")}.`] : []),
        ].join("\n"),
      )

export const projectCommand = Command.make(
  "project",
  {
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("Fold what is in the log, and exit (the embedded store always does)"),
      Flag.withDefault(true),
    ),
    json,
  },
  ({ json }) => withStore(Effect.flatMap(projectShowing("project"), (projected) => report(projected, json))),
).pipe(
  Command.withDescription("Fold what is in the log into the read model"),
  Command.withExamples([{ command: "tidemark project --once", description: "Bring the numbers up to date" }]),
)

export const rebuildCommand = Command.make(
  "rebuild",
  {
    acceptLog: Flag.Boolean("accept-log").pipe(
      Flag.withDescription("Take the log as it is, also when it was put back to an older copy"),
      Flag.withDefault(false),
    ),
    json,
  },
  ({ acceptLog, json }) =>
    withStore(Effect.flatMap(projectShowing("rebuild", { acceptLog }), (projected) => report(projected, json))),
).pipe(
  Command.withDescription("Empty the read model and make it anew from the log"),
  Command.withExamples([{ command: "tidemark rebuild", description: "Get every table back, identical, from the log" }]),
)
